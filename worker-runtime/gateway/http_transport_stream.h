// An answer in pieces: what its writer, on any thread, shares with the connection.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/http_transport_exchange.h"

namespace lanekeeper::gateway::transport {

class StreamState : public std::enable_shared_from_this<StreamState> {
 public:
  StreamState(ExchangePtr exchange, bool chunked, std::size_t unsent_max)
      : exchange_(std::move(exchange)), chunked_(chunked), unsent_max_(unsent_max) {}

  // Any thread.
  bool Write(std::string_view bytes);
  bool Open() const;
  void Finish();

  // The loop's thread.
  void Close();  // Nothing can be written any more.
  void SetUnsent(std::size_t bytes);

 private:
  void Flush();

  const ExchangePtr exchange_;
  const bool chunked_;
  const std::size_t unsent_max_;
  mutable std::mutex mutex_;
  std::string pending_;     // Not with the connection yet.
  std::size_t unsent_ = 0;  // With the connection.
  bool flush_posted_ = false;
  bool open_ = true;
};

// Ends the stream with its life.
class StreamWriter final : public HttpStream {
 public:
  explicit StreamWriter(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
  ~StreamWriter() override { state_->Finish(); }
  bool Write(std::string_view bytes) override { return state_->Write(bytes); }
  bool Open() const override { return state_->Open(); }

 private:
  std::shared_ptr<StreamState> state_;
};

}  // namespace lanekeeper::gateway::transport
