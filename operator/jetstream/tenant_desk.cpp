#include "operator/jetstream/tenant_desk.h"

#include <algorithm>

#include "operator/jetstream/pool_facts.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {
namespace {

constexpr std::chrono::seconds kLook{1};
// What a server says can change with every attempt; each time the status of a pool is written.
constexpr std::chrono::seconds kSayAgain{30};
constexpr std::size_t kSaidBytesMax = 200;
constexpr std::string_view kCertificateKey = "tls.crt";  // Of a Secret of type kubernetes.io/tls.
constexpr std::string_view kPrivateKeyKey = "tls.key";

using scaling::Doubt;

bool NamesSecrets(const PoolNats& nats) {
  return !nats.credentials.secret.empty() || !nats.tls_ca.secret.empty() ||
         !nats.tls_certificate_of.empty();
}

}  // namespace

Tenants::Desk::Desk(OwnPorts own, SecretSource* secrets, const Clock& clock, TenantsOptions options)
    : own_(own), secrets_(secrets), clock_(clock), options_(std::move(options)) {}

void Tenants::Desk::Start(std::function<void(const LaneKey&)> on_change) {
  {
    const std::lock_guard lock(mutex_);
    on_change_ = std::move(on_change);
    stopping_ = false;
  }
  if (options_.allowed && !thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

// Lines end side by side: a server that is silent holds each of its own up for seconds.
void Tenants::Desk::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::vector<std::thread> enders;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [key, tenant] : tenants_) {
      enders.emplace_back(
          [line = std::exchange(tenant->line, nullptr),
           tasks = std::exchange(tenant->tasks, std::make_shared<TenantTasks>())]() mutable {
            if (line && !tasks->idle()) line->Shut();
            tasks.reset();
            line.reset();
          });
    }
  }
  for (std::thread& ender : enders) ender.join();
  for (const auto& line : ended_) line->Shut();
  ended_.clear();
}

Tenants::Desk::TenantPtr Tenants::Desk::TenantOf(const PoolKey& key) const {
  const auto found = pools_.find(key);
  return found == pools_.end() ? nullptr : found->second.tenant;
}

Tenants::Desk::TenantPtr Tenants::Desk::FindOrAdd(const std::string& pool_namespace,
                                                  const PoolNats& nats) {
  TenantPtr& tenant = tenants_[{pool_namespace, nats}];
  if (!tenant) {
    tenant = std::make_shared<Tenant>();
    tenant->pool_namespace = pool_namespace;
    tenant->nats = nats;
  }
  return tenant;
}

// Two tenants may have users of one account, and the operator's own may be in it, too: what stands
// in that account's bucket about a pool of one must not look left over to the other.
void Tenants::Desk::SpareElsewhere(const PoolKey& key, const TenantPtr& of) {
  if (of) own_.board.Spare(key);
  for (const auto& [where, tenant] : tenants_) {
    if (tenant == of || tenant->pool_namespace != key.pool_namespace) continue;
    if (tenant->line) tenant->line->board().Spare(key);
  }
}

void Tenants::Desk::ForgetAt(const TenantPtr& tenant, const PoolKey& key) {
  if (!tenant) return own_.board.Forget(key);
  if (tenant->line) return tenant->line->board().Forget(key);
  tenant->briefs[key] = std::nullopt;
  tenant->statuses.erase(key);
}

void Tenants::Desk::Assign(const WorkerPool& pool) {
  {
    const std::lock_guard lock(mutex_);
    const auto [found, fresh] = pools_.try_emplace(pool.key);
    Assigned& assigned = found->second;
    assigned.gone = false;
    const TenantPtr tenant =
        pool.nats ? FindOrAdd(pool.key.pool_namespace, *pool.nats) : TenantPtr();
    if (!fresh && tenant == assigned.tenant) return;
    if (!fresh) {
      ForgetAt(assigned.tenant, pool.key);
      if (assigned.tenant) assigned.tenant->pools.erase(pool.key);
    }
    assigned.tenant = tenant;
    if (tenant) tenant->pools.insert(pool.key);
    SpareElsewhere(pool.key, tenant);
    news_ = true;
  }
  changed_.notify_all();
}

void Tenants::Desk::SetGone(const PoolKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(key);
  if (found != pools_.end()) found->second.gone = true;
}

void Tenants::Desk::Probe(const ProbedLane& lane) {
  const std::lock_guard lock(mutex_);
  const TenantPtr tenant = TenantOf(PoolOf(lane.key));
  const auto [found, fresh] = lanes_.try_emplace(lane.key);
  Lane& known = found->second;
  if (!fresh && known.tenant != tenant) {
    if (!known.tenant) own_.probe.Forget(lane.key);
    if (known.tenant && known.tenant->line) known.tenant->line->probe().Forget(lane.key);
  }
  known = {tenant, lane};
  if (!tenant) return own_.probe.Probe(lane);
  if (tenant->line) tenant->line->probe().Probe(lane);
}

void Tenants::Desk::Forget(const LaneKey& key) {
  WithProbe(key, [&key](LaneProbe& probe) { probe.Forget(key); });
  const std::lock_guard lock(mutex_);
  lanes_.erase(key);
}

LaneSample Tenants::Desk::Latest(const LaneKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(key);
  if (found == lanes_.end() || !found->second.tenant) return own_.probe.Latest(key);
  const Tenant& tenant = *found->second.tenant;
  LaneSample sample;
  if (tenant.line) {
    sample = tenant.line->probe().Latest(key);
    if (sample.doubt == Doubt::kDisconnected && !tenant.said.empty()) {
      sample.doubt_detail = tenant.said;
    }
  } else if (!tenant.problem.empty()) {
    sample.doubt = Doubt::kDisconnected;
    sample.doubt_detail = tenant.problem;
  }
  return sample;
}

void Tenants::Desk::Say(const LaneKey& key, const std::string& worker, std::string_view request) {
  std::shared_ptr<TenantLine> line;
  std::shared_ptr<TenantTasks> tasks;
  {
    const std::lock_guard lock(mutex_);
    const auto found = lanes_.find(key);
    if (found == lanes_.end() || !found->second.tenant) {
      return own_.probe.Tell(key, worker, request);
    }
    line = found->second.tenant->line;
    tasks = found->second.tenant->tasks;
  }
  if (!line) return;
  tasks->Say([this, line = std::move(line), key, worker, request = std::string(request)] {
    if (options_.leadership != nullptr && !options_.leadership->Current()) return;
    line->probe().Tell(key, worker, request);
  });
}

Result<void> Tenants::Desk::WithQueues(const PoolKey& key, const std::string& name,
                                       std::function<Result<void>(Queues&)> call) {
  std::shared_ptr<TenantLine> line;
  std::shared_ptr<TenantTasks> tasks;
  {
    std::unique_lock lock(mutex_);
    const TenantPtr tenant = TenantOf(key);
    if (!tenant) {
      lock.unlock();
      return call(own_.queues);
    }
    if (!tenant->line) {
      return Fail(ErrorKind::kRetryable, tenant->problem.empty()
                                             ? "the pool's NATS connection is not open yet"
                                             : tenant->problem);
    }
    line = tenant->line;
    tasks = tenant->tasks;
  }
  return tasks->Do(ToString(key) + " " + name,
                   [this, line = std::move(line), call = std::move(call)]() -> Result<void> {
                     if (options_.leadership != nullptr && !options_.leadership->Current()) {
                       return Fail(ErrorKind::kRetryable, "this operator does not lead any more");
                     }
                     return call(line->queues());
                   });
}

void Tenants::Desk::Record(const LedgerEntry& entry) {
  const std::lock_guard lock(mutex_);
  const TenantPtr tenant = TenantOf(PoolOf(entry.key));
  if (!tenant) return own_.ledger.Record(entry);
  if (tenant->line) tenant->line->ledger().Record(entry);
}

void Tenants::Desk::Tell(const WorkerPool& pool) {
  const std::lock_guard lock(mutex_);
  const TenantPtr tenant = TenantOf(pool.key);
  if (!tenant) return own_.board.Tell(pool);
  if (tenant->line) return tenant->line->board().Tell(pool);
  tenant->briefs[pool.key] = pool;
}

void Tenants::Desk::TellStatus(const PoolKey& key, const PoolStatus& status) {
  const std::lock_guard lock(mutex_);
  const TenantPtr tenant = TenantOf(key);
  if (!tenant) return own_.board.TellStatus(key, status);
  if (tenant->line) return tenant->line->board().TellStatus(key, status);
  tenant->statuses[key] = status;
}

void Tenants::Desk::ForgetPool(const PoolKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(key);
  if (found == pools_.end()) return own_.board.Forget(key);
  ForgetAt(found->second.tenant, key);
  if (!found->second.gone) return;
  if (found->second.tenant) found->second.tenant->pools.erase(key);
  pools_.erase(found);
}

void Tenants::Desk::KeepOnly(const std::vector<PoolKey>& pools) {
  const std::lock_guard lock(mutex_);
  synced_ = true;
  own_.board.KeepOnly(pools);
  for (const auto& [key, tenant] : tenants_) {
    if (tenant->line) tenant->line->board().KeepOnly(pools);
  }
}

void Tenants::Desk::StartOver() {
  const std::lock_guard lock(mutex_);
  synced_ = false;
  own_.board.StartOver();
  for (const auto& [key, tenant] : tenants_) {
    tenant->briefs.clear();
    tenant->statuses.clear();
    if (tenant->line) tenant->line->board().StartOver();
  }
}

Tenants::Counts Tenants::Desk::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts{.tenants = tenants_.size(), .secret_reads = secret_reads_};
  for (const auto& [key, tenant] : tenants_) {
    if (tenant->connected) ++counts.connected;
  }
  return counts;
}

std::size_t Tenants::Desk::LinesOpen() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      tenants_, [](const auto& entry) { return entry.second->line != nullptr; }));
}

bool Tenants::Desk::Used(const TenantPtr& tenant) const {
  return !tenant->pools.empty() || std::ranges::any_of(lanes_, [&](const auto& entry) {
    return entry.second.tenant == tenant;
  });
}

void Tenants::Desk::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    changed_.wait_for(lock, kLook, [this] { return news_ || stopping_; });
    if (stopping_) return;
    news_ = false;
    std::vector<TenantPtr> tenants;
    for (const auto& [key, tenant] : tenants_) tenants.push_back(tenant);
    lock.unlock();
    for (TenantPtr& tenant : tenants) {
      Look(tenant);
      tenant.reset();  // The last one to hold a tenant that has ended lets it go here.
    }
    DestroyLines();
    lock.lock();
  }
}

void Tenants::Desk::Look(const TenantPtr& tenant) {
  const MonotonicTime now = clock_.Now();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
  EndUnused(tenant, now);
  if (tenant->unused_since) return;
  if (now >= tenant->read_due) ReadSecrets(tenant, now);
  SeeConnection(tenant, now);
}

void Tenants::Desk::ReadSecrets(const TenantPtr& tenant, MonotonicTime now) {
  const Result<nats::Access> access = ReadAccess(*tenant);
  Result<void> taken = access ? Take(tenant, *access) : tl::unexpected<Error>(access.error());
  SetProblem(tenant, taken ? "" : taken.error().message);
  // A Secret is often corrected when its credentials have been refused.
  const bool well = taken && tenant->connected;
  tenant->read_failures = well ? 0 : tenant->read_failures + 1;
  const Backoff backoff{options_.secret_retry_wait, options_.secret_interval};
  tenant->read_due = now + (well ? options_.secret_interval : backoff.After(tenant->read_failures));
}

Result<nats::Access> Tenants::Desk::ReadAccess(const Tenant& tenant) {
  nats::Access access;
  if (!NamesSecrets(tenant.nats)) return access;
  std::map<std::string, SecretValues> read;
  const auto take = [&](const std::string& secret, std::string_view key,
                        std::string* into) -> Result<void> {
    if (secret.empty()) return {};
    const std::string name = "Secret " + tenant.pool_namespace + "/" + secret;
    if (!read.contains(secret)) {
      Result<SecretValues> values = secrets_->Read(tenant.pool_namespace, secret);
      const std::lock_guard lock(mutex_);
      ++secret_reads_;
      if (!values) return Wrap(std::move(values).error(), "reading " + name);
      read.emplace(secret, *std::move(values));
    }
    const auto found = read.at(secret).find(std::string(key));
    if (found == read.at(secret).end() || found->second.empty()) {
      return Fail(ErrorKind::kInvalid, name + " has nothing under the key " + std::string(key));
    }
    *into = found->second;
    return {};
  };
  const PoolNats& nats = tenant.nats;
  Result<void> taken = take(nats.credentials.secret, nats.credentials.key, &access.credentials);
  if (taken) taken = take(nats.tls_ca.secret, nats.tls_ca.key, &access.tls_ca);
  if (taken) taken = take(nats.tls_certificate_of, kCertificateKey, &access.tls_certificate);
  if (taken) taken = take(nats.tls_certificate_of, kPrivateKeyKey, &access.tls_key);
  if (!taken) return tl::unexpected<Error>(std::move(taken).error());
  return access;
}

Result<void> Tenants::Desk::Take(const TenantPtr& tenant, nats::Access access) {
  std::shared_ptr<TenantLine> line;
  std::function<void(const LaneKey&)> on_change;
  {
    const std::lock_guard lock(mutex_);
    line = tenant->line;
    on_change = on_change_;
    if (!line && LinesOpen() >= options_.lines_max) {
      return Fail(ErrorKind::kRetryable,
                  "the operator has " + std::to_string(options_.lines_max) +
                      " NATS connections for pools, and takes no more; give pools that are "
                      "together the same spec.nats");
    }
  }
  if (line) {
    if (access == tenant->access) return {};
    Result<void> renewed = line->Renew(access);
    if (!renewed) return Wrap(std::move(renewed).error(), "the new Secret");
    log::Info("tenants", "access_renewed",
              {{"namespace", tenant->pool_namespace}, {"nats", tenant->nats.url}});
  } else {
    auto opened = options_.open_line({tenant->pool_namespace, tenant->nats.url}, access,
                                     std::move(on_change));
    if (!opened) return Wrap(std::move(opened).error(), "the pool's NATS connection");
    const std::lock_guard lock(mutex_);
    PutUp(tenant, std::shared_ptr<TenantLine>(*std::move(opened)));
  }
  tenant->access = std::move(access);
  return {};
}

void Tenants::Desk::PutUp(const TenantPtr& tenant, std::shared_ptr<TenantLine> line) {
  tenant->line = std::move(line);
  PoolBoard& board = tenant->line->board();
  if (synced_) {
    std::vector<PoolKey> all;
    for (const auto& [key, assigned] : pools_) all.push_back(key);
    board.KeepOnly(all);
  }
  for (const auto& [key, brief] : std::exchange(tenant->briefs, {})) {
    brief ? board.Tell(*brief) : board.Forget(key);
  }
  for (const auto& [key, status] : std::exchange(tenant->statuses, {})) {
    board.TellStatus(key, status);
  }
  for (const auto& [key, lane] : lanes_) {
    if (lane.tenant == tenant) tenant->line->probe().Probe(lane.probed);
  }
}

void Tenants::Desk::SetProblem(const TenantPtr& tenant, std::string problem) {
  {
    const std::lock_guard lock(mutex_);
    if (problem == tenant->problem) return;
    tenant->problem = problem;
  }
  if (!problem.empty()) {
    log::Warning(
        "tenants", "no_access",
        {{"namespace", tenant->pool_namespace}, {"nats", tenant->nats.url}, {"error", problem}});
  }
  Announce(tenant);
}

void Tenants::Desk::SeeConnection(const TenantPtr& tenant, MonotonicTime now) {
  const std::shared_ptr<TenantLine> line = tenant->line;  // Only this thread changes it.
  if (!line) return;
  const bool connected = line->Connected();
  std::string said = connected ? "" : line->LastError().substr(0, kSaidBytesMax);
  {
    const std::lock_guard lock(mutex_);
    tenant->connected = connected;
    if (said == tenant->said) return;
    if (!said.empty() && !tenant->said.empty() && now < tenant->say_again) return;
    tenant->said = said;
  }
  tenant->say_again = now + kSayAgain;
  if (!said.empty()) {
    log::Warning(
        "tenants", "not_connected",
        {{"namespace", tenant->pool_namespace}, {"nats", tenant->nats.url}, {"error", said}});
    Announce(tenant);
  }
}

void Tenants::Desk::EndUnused(const TenantPtr& tenant, MonotonicTime now) {
  std::shared_ptr<TenantLine> line;
  {
    const std::lock_guard lock(mutex_);
    if (Used(tenant)) return tenant->unused_since.reset();
    if (!tenant->unused_since) tenant->unused_since = now;
    const bool told = !tenant->line || tenant->line->AllTold();
    if (!told && now - *tenant->unused_since < options_.linger_max) return;
    line = std::exchange(tenant->line, nullptr);
    tenants_.erase({tenant->pool_namespace, tenant->nats});
  }
  if (!line) return;
  line->Shut();
  ended_.push_back(std::move(line));
}

void Tenants::Desk::Announce(const TenantPtr& tenant) {
  std::vector<LaneKey> lanes;
  std::function<void(const LaneKey&)> on_change;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, lane] : lanes_) {
      if (lane.tenant == tenant) lanes.push_back(key);
    }
    on_change = on_change_;
  }
  for (const LaneKey& lane : lanes) on_change(lane);
}

// A call may still be on its way through one; it fails soon, since the line is shut.
void Tenants::Desk::DestroyLines() {
  std::erase_if(ended_, [](const auto& line) { return line.use_count() == 1; });
}

}  // namespace lanekeeper
