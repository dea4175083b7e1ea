#include "worker-runtime/gateway/http_transport_stream.h"

#include <utility>

#include "worker-runtime/gateway/http_transport_connection.h"
#include "worker-runtime/gateway/http_transport_loop.h"

namespace lanekeeper::gateway::transport {

bool StreamState::Write(std::string_view bytes) {
  if (bytes.empty()) return Open();
  const std::lock_guard lock(mutex_);
  if (!open_) return false;
  if (pending_.size() + unsent_ + bytes.size() > unsent_max_) {
    open_ = false;
    exchange_->loop.Post([exchange = exchange_] {
      if (exchange->connection) exchange->connection->Close();
    });
    return false;
  }
  if (chunked_) {
    AppendChunk(pending_, bytes);
  } else {
    pending_ += bytes;
  }
  if (!std::exchange(flush_posted_, true)) {
    exchange_->loop.Post([self = shared_from_this()] { self->Flush(); });
  }
  return true;
}

bool StreamState::Open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

void StreamState::Finish() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  exchange_->loop.Post([self = shared_from_this()] {
    self->Flush();
    const auto connection = self->exchange_->connection;
    if (connection) connection->FinishStream(self->chunked_ ? kLastChunk : std::string_view());
  });
}

void StreamState::Flush() {
  std::string bytes;
  {
    const std::lock_guard lock(mutex_);
    bytes = std::exchange(pending_, {});
    unsent_ += bytes.size();
    flush_posted_ = false;
  }
  const auto connection = exchange_->connection;
  if (connection && !bytes.empty()) connection->WritePiece(std::move(bytes));
}

void StreamState::Close() {
  const std::lock_guard lock(mutex_);
  open_ = false;
  pending_ = {};
}

void StreamState::SetUnsent(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_ = bytes;
}

}  // namespace lanekeeper::gateway::transport
