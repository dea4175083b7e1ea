#include "worker-runtime/runner/crash_board.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <string>

namespace lanekeeper::runner {
namespace {

constexpr std::size_t kLeaseBytesMax = 480;
constexpr std::size_t kSignalStackBytes = 16384;  // A thread whose stack overflowed has none left.
constexpr std::array kFaults{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

}  // namespace

struct CrashBoard::Seat {
  static thread_local Seat* own;  // Of the calling thread; read in a signal handler.

  std::atomic<bool> running;
  std::atomic<bool> at_fault;
  std::atomic<std::size_t> bytes;
  std::array<char, kLeaseBytesMax> lease;
};

thread_local CrashBoard::Seat* CrashBoard::Seat::own = nullptr;

void CrashBoard::OnFault(int signal) {
  if (Seat::own != nullptr && Seat::own->running) Seat::own->at_fault = true;
  raise(signal);  // The default action is back in place: this kills, with a core if there are any.
}

Result<std::unique_ptr<CrashBoard>> CrashBoard::Make(int threads_max) {
  assert(threads_max >= 1);
  const auto count = static_cast<std::size_t>(threads_max);
  void* const memory = mmap(nullptr, count * sizeof(Seat), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return Fail(ErrorKind::kRetryable,
                "making the crash board: " + std::string(std::strerror(errno)));
  }
  // Zero pages are seats that nobody sits on.
  return std::unique_ptr<CrashBoard>(new CrashBoard(static_cast<Seat*>(memory), count));
}

CrashBoard::~CrashBoard() { munmap(seats_, count_ * sizeof(Seat)); }

void CrashBoard::WatchSignals() {
  for (const int fault : kFaults) {
    struct sigaction before {};
    if (sigaction(fault, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = &CrashBoard::OnFault;
    action.sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(fault, &action, nullptr);
  }
}

void CrashBoard::SitDown() {
  static thread_local std::array<char, kSignalStackBytes> signal_stack;
  stack_t before{};
  sigaltstack(nullptr, &before);
  // A sanitizer has one of its own, and takes back what it finds when the thread ends.
  if ((before.ss_flags & SS_DISABLE) != 0) {
    const stack_t stack{
        .ss_sp = signal_stack.data(), .ss_flags = 0, .ss_size = signal_stack.size()};
    sigaltstack(&stack, nullptr);
  }
  const std::size_t seat = taken_++;
  assert(seat < count_);
  Seat::own = &seats_[seat];
}

void CrashBoard::Note(std::string_view lease) {
  Seat* const own = Seat::own;
  if (own == nullptr || lease.size() > kLeaseBytesMax) return;
  std::copy(lease.begin(), lease.end(), own->lease.begin());
  own->bytes = lease.size();
  own->running = true;
}

void CrashBoard::Clear() {
  if (Seat::own != nullptr) Seat::own->running = false;
}

std::vector<CrashBoard::Entry> CrashBoard::Read() const {
  std::vector<Entry> entries;
  for (std::size_t n = 0; n < count_; ++n) {
    const Seat& seat = seats_[n];
    if (!seat.running) continue;
    const std::size_t bytes = std::min<std::size_t>(seat.bytes, kLeaseBytesMax);
    entries.push_back({std::string(seat.lease.data(), bytes), seat.at_fault});
  }
  return entries;
}

}  // namespace lanekeeper::runner
