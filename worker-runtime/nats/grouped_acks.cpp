#include "worker-runtime/nats/grouped_acks.h"

#include <mutex>
#include <utility>
#include <vector>

namespace lanekeeper::nats {
namespace {

constexpr std::string_view kAck = "+ACK";

}  // namespace

struct GroupedAcks::State {
  struct Entry {
    std::string subject;
    Handler handler;
  };

  State(Connection& to, std::chrono::milliseconds answer_timeout)
      : connection(to), timeout(answer_timeout) {}

  Connection& connection;
  const std::chrono::milliseconds timeout;
  std::mutex mutex;
  std::vector<Entry> waiting;
  bool under_way = false;
};

GroupedAcks::GroupedAcks(Connection& connection, std::chrono::milliseconds timeout)
    : state_(std::make_shared<State>(connection, timeout)) {}

void GroupedAcks::Ack(std::string ack_subject, Handler handler) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->waiting.push_back({std::move(ack_subject), std::move(handler)});
    if (std::exchange(state_->under_way, true)) return;
  }
  SendGroup(state_);
}

// Precondition: under_way, and by this caller alone.
void GroupedAcks::SendGroup(const std::shared_ptr<State>& state) {
  const auto group = std::make_shared<std::vector<State::Entry>>();
  {
    const std::lock_guard lock(state->mutex);
    if (state->waiting.empty()) {
      state->under_way = false;
      return;
    }
    group->swap(state->waiting);
  }
  // What cannot be written now cannot be confirmed by the last one either: that fails too.
  for (std::size_t n = 0; n + 1 < group->size(); ++n) {
    static_cast<void>(state->connection.Publish((*group)[n].subject, kAck));
  }
  state->connection.RequestAsync(
      group->back().subject, kAck, {}, state->timeout, [state, group](Result<Message> answer) {
        Result<void> told;
        if (!answer) {
          told = tl::unexpected(std::move(answer).error());
        } else if (answer->NoResponders()) {
          told = Fail(ErrorKind::kRetryable,
                      "nobody takes the ack: the consumer is gone or has no leader");
        }
        for (const State::Entry& entry : *group) entry.handler(told);
        SendGroup(state);
      });
}

}  // namespace lanekeeper::nats
