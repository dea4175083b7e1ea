#include "e2e/bench/bare_loop.h"

#include <nats/nats.h>

#include <memory>
#include <stdexcept>

#include "worker-runtime/base/destroy_with.h"

namespace lanekeeper::e2e {
namespace {

using Options = std::unique_ptr<natsOptions, DestroyWith<natsOptions_Destroy>>;
using Session = std::unique_ptr<natsConnection, DestroyWith<natsConnection_Destroy>>;
using Context = std::unique_ptr<jsCtx, DestroyWith<jsCtx_Destroy>>;
using Inbox = std::unique_ptr<natsInbox, DestroyWith<natsInbox_Destroy>>;
using Subscription = std::unique_ptr<natsSubscription, DestroyWith<natsSubscription_Destroy>>;

constexpr std::int64_t kFetchMs = 5000;
constexpr int kEmptyFetchesMax = 12;

void Check(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  throw std::runtime_error(std::string("bare loop: ") + what + ": " + natsStatus_GetText(status));
}

Session Connect(const BareLoop& loop, const std::string& url) {
  natsOptions* raw_options = nullptr;
  Check(natsOptions_Create(&raw_options), "making options");
  const Options options(raw_options);
  Check(natsOptions_SetURL(raw_options, url.c_str()), "setting the URL");
  Check(natsOptions_SetSendAsap(raw_options, loop.send_asap), "setting send_asap");
  natsConnection* session = nullptr;
  Check(natsConnection_Connect(&session, raw_options), "connecting");
  return Session(session);
}

// Acknowledgements that ask for an answer, and where the answers go.
class Confirmations {
 public:
  explicit Confirmations(natsConnection* session) : session_(session) {
    natsInbox* inbox = nullptr;
    Check(natsInbox_Create(&inbox), "making an inbox");
    inbox_.reset(inbox);
    natsSubscription* answers = nullptr;
    Check(natsConnection_Subscribe(
              &answers, session, inbox,
              [](natsConnection*, natsSubscription*, natsMsg* answer, void*) {
                natsMsg_Destroy(answer);
              },
              nullptr),
          "subscribing to confirmations");
    answers_.reset(answers);
  }
  natsStatus Ack(const natsMsg* message) const {
    return natsConnection_PublishRequestString(session_, natsMsg_GetReply(message), inbox_.get(),
                                               "+ACK");
  }

 private:
  natsConnection* session_;
  Inbox inbox_;
  Subscription answers_;
};

}  // namespace

void DrainBare(const BareLoop& loop, const std::string& url, const std::string& stream,
               const std::string& consumer, const std::string& subject, int jobs) {
  const Session session = Connect(loop, url);
  jsCtx* raw_context = nullptr;
  Check(natsConnection_JetStream(&raw_context, session.get(), nullptr), "making a context");
  const Context context(raw_context);
  jsSubOptions bound;
  Check(jsSubOptions_Init(&bound), "making subscription options");
  bound.Stream = stream.c_str();
  bound.Consumer = consumer.c_str();
  natsSubscription* raw_pull = nullptr;
  Check(js_PullSubscribe(&raw_pull, context.get(), subject.c_str(), consumer.c_str(), nullptr,
                         &bound, nullptr),
        "subscribing");
  const Subscription pull(raw_pull);
  const Confirmations confirmations(session.get());

  int drained = 0;
  for (int empty = 0; drained < jobs && empty < kEmptyFetchesMax;) {
    natsMsgList list{};
    const natsStatus status =
        natsSubscription_Fetch(&list, pull.get(), loop.batch, kFetchMs, nullptr);
    if (status == NATS_TIMEOUT) {
      ++empty;
      continue;
    }
    Check(status, "fetching");
    for (int n = 0; n < list.Count; ++n) {
      Check(
          loop.confirm_acks ? confirmations.Ack(list.Msgs[n]) : natsMsg_Ack(list.Msgs[n], nullptr),
          "acknowledging");
    }
    drained += list.Count;
    natsMsgList_Destroy(&list);
  }
  Check(natsConnection_FlushTimeout(session.get(), kFetchMs), "flushing");
}

}  // namespace lanekeeper::e2e
