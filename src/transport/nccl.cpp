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
#include <cstring>
#include <thread>
#include <utility>

#include "flashring/check.hpp"
#include "flashring/transport.hpp"

namespace flashring {
namespace {

using Clock = std::chrono::steady_clock;

/// Without an arrival for so long a peer counts as lost: longer than a step of any sensible run takes.
constexpr std::chrono::minutes patience{10};

void call(cudaError_t code, const char *what) {
  FLASHRING_CHECK(code == cudaSuccess, what, " failed: ", cudaGetErrorString(code), "; look at the GPU's health");
}

/// An event without a time, destroyed with its exchange.
class Event {
 public:
  Event() { call(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event &) = delete;
  Event &operator=(const Event &) = delete;
  void record(cudaStream_t stream) { call(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  void hold(cudaStream_t stream) const { call(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent"); }
  bool happened() const {
    const cudaError_t code = query();
    if (code != cudaErrorNotReady) call(code, "a message between GPUs");
    return code == cudaSuccess;
  }
  cudaError_t query() const { return cudaEventQuery(event_); }

 private:
  cudaEvent_t event_ = nullptr;
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

class NcclTransport final : public Transport {
 public:
  NcclTransport(const Communicator &communicator, const Device &device)
      : compute_(static_cast<cudaStream_t>(device.queue())) {
    const ncclUniqueId id = common_id(communicator);
    communicator.agree([&] {
      call(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
      ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
      config.blocking = 0;
      finish(ncclCommInitRankConfig(&nccl_, communicator.size(), id, communicator.rank(), &config),
             "making the communicator");
    });
  }
  NcclTransport(const NcclTransport &) = delete;
  NcclTransport &operator=(const NcclTransport &) = delete;
  ~NcclTransport() override {
    if (nccl_ != nullptr) leave();
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  const char *name() const override { return "nccl"; }
  bool moves_device_memory() const override { return true; }

  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    Event ready;
    ready.record(compute_);
    ready.hold(stream_);
    finish(ncclGroupStart(), "ncclGroupStart");
    for (const Message &m : in_order(sends))
      queue(ncclSend(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream_), "ncclSend");
    for (const Message &m : in_order(receives))
      queue(ncclRecv(m.data, m.bytes, ncclInt8, m.peer, nccl_, stream_), "ncclRecv");
    finish(ncclGroupEnd(), "ncclGroupEnd");
    auto arrived = std::make_shared<Event>();
    arrived->record(stream_);
    last_ = arrived;
    return std::make_unique<NcclExchange>(std::move(arrived), compute_);
  }

  void settle() override {
    const auto begin = Clock::now();
    while (last_ != nullptr && !last_->happened()) {
      ncclResult_t state = ncclSuccess;
      queue(ncclCommGetAsyncError(nccl_, &state), "ncclCommGetAsyncError");
      if (state != ncclInProgress) queue(state, "a message between GPUs");
      if (Clock::now() - begin > patience)
        fail(detail::concatenate("nothing has arrived for ", patience.count(), " minutes"));
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

 private:
  /// Made by rank 0 for all, whose libraries must be of one version.
  static ncclUniqueId common_id(const Communicator &communicator) {
    int version = 0;
    ncclUniqueId id{};
    communicator.agree([&] {
      FLASHRING_CHECK(ncclGetVersion(&version) == ncclSuccess, "NCCL does not tell its version");
      if (communicator.rank() != 0) return;
      const ncclResult_t code = ncclGetUniqueId(&id);
      FLASHRING_CHECK(code == ncclSuccess, "ncclGetUniqueId failed: ", ncclGetLastError(nullptr));
    });
    const double newest = communicator.max(static_cast<double>(version));
    communicator.agree([&] {
      FLASHRING_CHECK(version == static_cast<int>(newest), "NCCL is version ", version, " here and ",
                      static_cast<int>(newest), " on another rank; give all ranks one library (LD_LIBRARY_PATH)");
    });
    communicator.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
    return id;
  }

  /// In good order where nothing is under way; otherwise peers may be gone, and nobody waits for them.
  void leave() {
    const auto begin = Clock::now();
    ncclResult_t state =
        last_ == nullptr || last_->query() == cudaSuccess ? ncclCommFinalize(nccl_) : ncclInternalError;
    while (state == ncclInProgress && Clock::now() - begin < patience) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      if (ncclCommGetAsyncError(nccl_, &state) != ncclSuccess) break;
    }
    state == ncclSuccess ? ncclCommDestroy(nccl_) : ncclCommAbort(nccl_);
  }

  [[noreturn]] void fail(const std::string &what) {
    ncclCommAbort(std::exchange(nccl_, nullptr));
    throw Error(
        detail::concatenate("-transport nccl: ", what,
                            "; a peer is lost or hangs, NCCL_DEBUG=WARN tells more, -transport mpi does without"));
  }

  /// For calls inside a group, which only note something down.
  void queue(ncclResult_t code, const char *what) {
    if (code != ncclSuccess && code != ncclInProgress)
      fail(detail::concatenate(what, ": ", ncclGetErrorString(code), " (", ncclGetLastError(nccl_), ")"));
  }

  /// Waits until a call is through.
  void finish(ncclResult_t code, const char *what) {
    const auto begin = Clock::now();
    while (code == ncclInProgress && nccl_ != nullptr) {
      queue(ncclCommGetAsyncError(nccl_, &code), what);
      if (Clock::now() - begin > patience)
        fail(detail::concatenate(what, " takes longer than ", patience.count(), " minutes"));
      if (code == ncclInProgress) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    queue(code, what);
  }

  cudaStream_t compute_;
  cudaStream_t stream_ = nullptr;
  ncclComm_t nccl_ = nullptr;
  std::shared_ptr<const Event> last_;  // of the exchange that was started last
};

}  // namespace

std::unique_ptr<Transport> make_nccl_transport(const Communicator &communicator, const Device *device) {
  FLASHRING_CHECK(device != nullptr && device->queue() != nullptr,
                  "-transport nccl moves the memory of GPUs; use it with -backend cuda, or take -transport auto");
  return std::make_unique<NcclTransport>(communicator, *device);
}

}  // namespace flashring
