// Transport over NCCL: device memory straight from GPU to GPU, without the host.
//
//   start   messages wait for what the device's queue holds, then go in one group on a stream of their own
//   wait    the device's queue waits for them: the host does not
//   settle  the host waits for all of them and looks whether a peer has failed
//
// The communicator does not block, so that a peer that died or hangs is found by time instead of never. Messages
// between two ranks match by order in NCCL, so each group is sorted by peer and channel.
#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>
#include <utility>

#include "flashring/check.hpp"
#include "flashring/transport.hpp"
#include "transport/nccl_version.hpp"

namespace flashring {
namespace {

using Clock = std::chrono::steady_clock;

void call(cudaError_t code, const char *what) {
  FLASHRING_CHECK(code == cudaSuccess, what, " failed: ", cudaGetErrorString(code), "; look at the GPU's health");
}

void pause() { std::this_thread::sleep_for(std::chrono::microseconds(20)); }

/// An event without a time.
class Event {
 public:
  Event() { call(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  void record(cudaStream_t stream) { call(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  void hold(cudaStream_t stream) const { call(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent"); }
  bool happened() const {
    const cudaError_t code = cudaEventQuery(event_);
    if (code == cudaErrorNotReady) {
      cudaGetLastError();  // it is none: whoever asks for the last error next shall not find it
      return false;
    }
    call(code, "a message between GPUs");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// An exchange under way: it may go when `ready` has happened.
struct Pending {
  std::shared_ptr<Event> ready = std::make_shared<Event>();
  std::shared_ptr<Event> arrived = std::make_shared<Event>();
};

class NcclExchange final : public Exchange {
 public:
  NcclExchange(std::shared_ptr<const Event> arrived, cudaStream_t compute)
      : arrived_(std::move(arrived)), compute_(compute) {}
  bool test() override { return arrived_->happened(); }
  void wait() override { arrived_->hold(compute_); }

 private:
  std::shared_ptr<const Event> arrived_;
  cudaStream_t compute_;
};

/// The messages of one direction that carry something, in the order in which NCCL matches them.
std::vector<Message> in_order(std::span<const Message> messages) {
  std::vector<Message> sorted;
  for (const Message &message : messages)
    if (message.bytes > 0) sorted.push_back(message);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Message &a, const Message &b) {
    return std::pair(a.peer, a.channel) < std::pair(b.peer, b.channel);
  });
  return sorted;
}

/// Made by rank 0 for all.
ncclUniqueId common_id(const Communicator &communicator) {
  ncclUniqueId id{};
  communicator.agree([&] {
    if (communicator.rank() != 0) return;
    const ncclResult_t code = ncclGetUniqueId(&id);
    FLASHRING_CHECK(code == ncclSuccess, "ncclGetUniqueId failed: ", ncclGetLastError(nullptr));
  });
  communicator.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
  return id;
}

class NcclTransport final : public Transport {
 public:
  NcclTransport(const Device &device, std::chrono::seconds patience)
      : compute_(static_cast<cudaStream_t>(device.queue())), patience_(patience) {}
  NcclTransport(const NcclTransport &) = delete;
  NcclTransport &operator=(const NcclTransport &) = delete;
  ~NcclTransport() override {
    if (nccl_ != nullptr) leave();
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  /// Joins the other ranks. Collective.
  void open(const Communicator &communicator) {
    int version = 0;
    if (ncclGetVersion(&version) != ncclSuccess) version = 0;
    check_nccl_version(communicator, version, NCCL_VERSION_CODE);
    communicator.agree([&] { call(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); });
    const ncclUniqueId id = common_id(communicator);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    communicator.agree([&] {
      try {
        finish(ncclCommInitRankConfig(&nccl_, communicator.size(), id, communicator.rank(), &config),
               "ncclCommInitRankConfig");
      } catch (const Error &) {
        abandon();  // before the agreement: the others may be waiting for this rank inside NCCL
        throw;
      }
    });
  }

  const char *name() const override { return "nccl"; }
  bool queues_on_device() const override { return true; }

  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    FLASHRING_CHECK(nccl_ != nullptr, "-transport nccl: an earlier error ended it; make the operator anew");
    while (!pending_.empty() && pending_.front().arrived->happened()) pending_.pop_front();
    const Pending exchange;
    exchange.ready->record(compute_);
    exchange.ready->hold(stream_);
    move(in_order(sends), in_order(receives));
    exchange.arrived->record(stream_);
    pending_.push_back(exchange);
    return std::make_unique<NcclExchange>(exchange.arrived, compute_);
  }

  void settle() override {
    for (auto since = Clock::now(); !pending_.empty();) {
      const Pending &next = pending_.front();
      if (next.arrived->happened()) {
        pending_.pop_front();
        since = Clock::now();
        continue;
      }
      if (!next.ready->happened()) since = Clock::now();  // the device computes, nobody is late
      ncclResult_t state = ncclSuccess;
      check(ncclCommGetAsyncError(nccl_, &state), "ncclCommGetAsyncError");
      check(state, "a message between GPUs");
      check_patience(since, "a message between GPUs");
      pause();
    }
  }

  void abandon() override {
    if (nccl_ != nullptr) ncclCommAbort(std::exchange(nccl_, nullptr));
    pending_.clear();
  }

 private:
  /// One group. It must be ended before anything else is called, whatever happens.
  void move(const std::vector<Message> &sends, const std::vector<Message> &receives) {
    check(ncclGroupStart(), "ncclGroupStart");
    ncclResult_t code = ncclSuccess;
    const auto add = [&](ncclResult_t one) { code = code == ncclSuccess || code == ncclInProgress ? one : code; };
    for (const Message &m : sends) add(ncclSend(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream_));
    for (const Message &m : receives) add(ncclRecv(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream_));
    const ncclResult_t ended = ncclGroupEnd();
    check(code, "ncclSend, ncclRecv");
    finish(ended, "ncclGroupEnd");
  }

  void check(ncclResult_t code, const char *what) const {
    FLASHRING_CHECK(code == ncclSuccess || code == ncclInProgress, "-transport nccl: ", what, ": ",
                    ncclGetErrorString(code), " (", ncclGetLastError(nccl_),
                    "); NCCL_DEBUG=WARN tells more, -transport mpi does without");
  }

  void check_patience(Clock::time_point since, const char *what) const {
    FLASHRING_CHECK(Clock::now() - since < patience_, "-transport nccl: ", what, " takes longer than ",
                    patience_.count(),
                    " seconds (-patience): a peer is lost or hangs; NCCL_DEBUG=WARN tells more, -transport mpi does "
                    "without");
  }

  /// Waits until a call is through.
  void finish(ncclResult_t code, const char *what) const {
    for (const auto since = Clock::now(); code == ncclInProgress; pause()) {
      check(ncclCommGetAsyncError(nccl_, &code), what);
      check_patience(since, what);
    }
    check(code, what);
  }

  /// In good order where nothing is under way; otherwise peers may be gone, and nobody waits for them.
  void leave() {
    const bool quiet = std::all_of(pending_.begin(), pending_.end(), [](const Pending &p) {
      try {
        return p.arrived->happened();
      } catch (const Error &) {
        return false;
      }
    });
    ncclResult_t state = quiet ? ncclCommFinalize(nccl_) : ncclInternalError;
    for (const auto since = Clock::now(); state == ncclInProgress && Clock::now() - since < patience_; pause())
      if (ncclCommGetAsyncError(nccl_, &state) != ncclSuccess) state = ncclInternalError;
    state == ncclSuccess ? ncclCommDestroy(nccl_) : ncclCommAbort(nccl_);
  }

  cudaStream_t compute_;
  std::chrono::seconds patience_;
  cudaStream_t stream_ = nullptr;
  ncclComm_t nccl_ = nullptr;
  std::deque<Pending> pending_;  // in the order of their start
};

}  // namespace

std::unique_ptr<Transport> make_nccl_transport(const Communicator &communicator, const Device *device,
                                               const TransportOptions &options) {
  FLASHRING_CHECK(device != nullptr && device->queue() != nullptr && !options.host_messages,
                  "-transport nccl moves the memory of GPUs; take -transport auto or mpi for that of the host, where "
                  "points are with -backend simd and with -points_memory host");
  auto transport = std::make_unique<NcclTransport>(*device, options.patience);
  transport->open(communicator);
  return transport;
}

}  // namespace flashring
