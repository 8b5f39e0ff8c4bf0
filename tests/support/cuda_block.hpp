// One block of CUDA threads on a host: every thread is a fiber (ucontext) that runs until it waits for others, so a
// kernel's body, written for a Thread, runs as it is on ordinary memory. Threads run one at a time. The order in which
// they take turns can be chosen: results that depend on it show a missing synchronisation. A synchronisation that not
// all threads reach throws.
#pragma once

#include <ucontext.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

namespace flashring::test {

class CudaBlock;

/// What a body of kernels/sm80 asks of its thread; see sm80/weights.hpp.
class CudaThread {
 public:
  CudaThread(CudaBlock &owner, int thread) : owner_(&owner), thread_(thread) {}
  int thread() const { return thread_; }
  int lane() const { return thread_ % 32; }
  int warp() const { return thread_ / 32; }
  int block() const;
  std::byte *shared() const;
  void sync();
  void sync_warp();
  /// All threads of a warp call it together.
  template <class T>
  T shuffle_xor(T value, int mask);

  static float least(float a, float b) { return std::fmin(a, b); }
  static float most(float a, float b) { return std::fmax(a, b); }
  // Not fused: a call of the library for each would take most of the time.
  static float fma(float a, float b, float c) { return a * b + c; }
  static double fma(double a, double b, double c) { return a * b + c; }
  static float sqrt(float a) { return std::sqrt(a); }
  static double sqrt(double a) { return std::sqrt(a); }
  static float log2(float a) { return std::log2(a); }
  static double log2(double a) { return std::log2(a); }
  static float ceil(float a) { return std::ceil(a); }
  static double ceil(double a) { return std::ceil(a); }
  /// ex2.approx.ftz: numbers below the smallest normal one are taken and given as 0.
  static float exp2(float a) {
    const float value = std::exp2(a);
    return value < std::numeric_limits<float>::min() ? 0.0F : value;
  }

 private:
  CudaBlock *owner_;
  int thread_;
  int exchanges_ = 0;
};

class CudaBlock {
 public:
  enum class Order : std::uint8_t { forward, backward, shuffled };

  explicit CudaBlock(int threads, Order order = Order::forward);
  CudaBlock(const CudaBlock &) = delete;
  CudaBlock &operator=(const CudaBlock &) = delete;

  /// Runs `body` for all threads of block `block`. Shared memory is filled with NaN before.
  void run(int block, std::size_t shared_bytes, const std::function<void(CudaThread &)> &body);

 private:
  friend class CudaThread;
  enum class State : std::uint8_t { ready, waits_for_warp, waits_for_block, done };
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<std::byte[]> stack;
    State state = State::done;
  };

  static void enter(unsigned high, unsigned low);
  void start(int thread);
  void wait(int thread, State state);
  int turn(int n) const;
  void step();
  bool release_warps();
  bool release_block();

  Order order_;
  std::vector<Fiber> fibers_;
  std::array<std::vector<double>, 2> exchanged_;  // (threads) each
  ucontext_t scheduler_{};
  const std::function<void(CudaThread &)> *body_ = nullptr;
  std::unique_ptr<std::byte[]> shared_;
  std::size_t shared_bytes_ = 0;
  int block_ = 0;
  int current_ = 0;
};

inline int CudaThread::block() const { return owner_->block_; }
/// Two arrays take turns, so that one wait suffices: who writes to an array again has been through the wait after which
/// the others read it.
template <class T>
T CudaThread::shuffle_xor(T value, int mask) {
  std::vector<double> &values = owner_->exchanged_[static_cast<std::size_t>(exchanges_++ % 2)];
  values[static_cast<std::size_t>(thread_)] = value;
  sync_warp();
  return static_cast<T>(values[static_cast<std::size_t>(thread_ ^ mask)]);
}

inline std::byte *CudaThread::shared() const { return owner_->shared_.get(); }

}  // namespace flashring::test
