// A coordination.k8s.io Lease as an API server keeps it, for tests of the election:
// resourceVersions, conflicts, and faults. Any thread.
#pragma once

#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/kubernetes/api.h"

namespace lanekeeper::kubernetes {

class LeaseServer final : public Api {
 public:
  Result<Answer> Exchange(const Request& request, const CallOptions&) override {
    const std::lock_guard lock(mutex_);
    if (request.method != "GET") ++writes_;
    if (gone) return Fail(ErrorKind::kRetryable, "no answer");
    if (refuses != 0) return Answer{refuses, R"({"message":"refused"})"};
    const Answer answer = Serve(request);
    // The server has done it, and nobody hears of it.
    if (loses_answers) return Fail(ErrorKind::kRetryable, "no answer");
    return answer;
  }
  Result<Answer> Stream(const Request&, std::chrono::milliseconds, const OnLine&,
                        std::stop_token) override {
    return Fail(ErrorKind::kRetryable, "leases are not watched");
  }

  // What a person does with kubectl, or another operator.
  void Put(const std::string& holder, int seconds, int transitions) {
    const std::lock_guard lock(mutex_);
    if (!lease_) lease_ = nlohmann::json::object();
    (*lease_)["metadata"]["labels"] = {{"by", "somebody"}};
    (*lease_)["spec"] = {{"holderIdentity", holder},
                         {"leaseDurationSeconds", seconds},
                         {"leaseTransitions", transitions}};
    NewVersion();
  }
  void Delete() {
    const std::lock_guard lock(mutex_);
    lease_.reset();
  }
  std::string holder() const {
    const std::lock_guard lock(mutex_);
    return lease_ ? lease_->at("spec").value("holderIdentity", "") : "";
  }
  nlohmann::json lease() const {
    const std::lock_guard lock(mutex_);
    return lease_.value_or(nlohmann::json());
  }
  int writes() const {
    const std::lock_guard lock(mutex_);
    return writes_;
  }
  void Set(bool LeaseServer::*fault, bool on) {
    const std::lock_guard lock(mutex_);
    this->*fault = on;
  }

  // Faults; where another thread asks, through Set.
  bool gone = false;
  bool loses_answers = false;
  int refuses = 0;  // This status; 0: serves.

 private:
  Answer Serve(const Request& request) {
    if (request.method == "GET") {
      return lease_ ? Answer{200, lease_->dump()} : Answer{404, R"({"message":"not found"})"};
    }
    nlohmann::json wanted = nlohmann::json::parse(request.body);
    if (request.method == "POST") {
      if (lease_) return {409, R"({"message":"already exists"})"};
    } else {
      if (!lease_) return {404, R"({"message":"not found"})"};
      if (wanted["metadata"].value("resourceVersion", "") !=
          lease_->at("metadata").value("resourceVersion", "")) {
        return {409, R"({"message":"the object has been modified"})"};
      }
    }
    lease_ = std::move(wanted);
    NewVersion();
    return {200, lease_->dump()};
  }
  void NewVersion() { (*lease_)["metadata"]["resourceVersion"] = std::to_string(++version_); }

  mutable std::mutex mutex_;
  std::optional<nlohmann::json> lease_;
  int version_ = 100;
  int writes_ = 0;
};

}  // namespace lanekeeper::kubernetes
