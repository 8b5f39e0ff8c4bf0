// One block of CUDA threads on a host: every thread is a fiber that runs until it waits for others, so a kernel's body,
// written for a Thread, runs as it is on ordinary memory. Threads run one at a time; they begin by ucontext and change
// by longjmp, since swapcontext asks the system at every change. The order in which they take turns can be chosen:
// results that depend on it show a missing synchronisation. A synchronisation that not all threads reach throws, and
// says who waits for what. What a warp does together (warp_words.hpp) waits until all its lanes have asked for the
// same; asynchronous copies are made when they are waited for and not before.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "support/warp_words.hpp"

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
  bool sync_or(bool any);
  void sync_warp();

  static float least(float a, float b) { return std::fmin(a, b); }
  static float most(float a, float b) { return std::fmax(a, b); }
  // What the lanes of a warp do together; see warp_words.hpp.
  void mma_bf16(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
  void load_matrices(const std::byte *row, std::uint32_t (&matrices)[4]);
  std::uint32_t transpose_matrix(std::uint32_t matrix);
  template <class T>
  T shuffle_xor(T value, int distance) {
    ShuffleCall call{{}, distance, sizeof(T)};
    std::memcpy(call.value, &value, sizeof(T));
    together(shuffle_warp, &call);
    std::memcpy(&value, call.value, sizeof(T));
    return value;
  }
  // 16 bytes each.
  void copy_async(std::byte *to, const std::byte *from);
  void commit_copies();
  /// Makes the copies of all groups but the last `pending`.
  template <int pending>
  void wait_copies() {
    wait_copies(pending);
  }

  // Not fused: a call of the library for each would take most of the time.
  static float fma(float a, float b, float c) { return a * b + c; }
  static double fma(double a, double b, double c) { return a * b + c; }
  static float sqrt(float a) { return std::sqrt(a); }
  static double sqrt(double a) { return std::sqrt(a); }
  static float log2(float a) { return std::log2(a); }
  static double log2(double a) { return std::log2(a); }
  static std::uint32_t pack_bf16(float low, float high) { return two_bf16(low, high); }
  static float log1p(float a) { return std::log1p(a); }
  static double log1p(double a) { return std::log1p(a); }
  static float ceil(float a) { return std::ceil(a); }
  static double ceil(double a) { return std::ceil(a); }
  static float floor(float a) { return std::floor(a); }
  static double floor(double a) { return std::floor(a); }
  /// ex2.approx.ftz: numbers below the smallest normal one are taken and given as 0.
  static float exp2(float a) {
    const float value = std::exp2(a);
    return value < std::numeric_limits<float>::min() ? 0.0F : value;
  }

 private:
  void together(WarpWord word, void *call);
  void wait_copies(std::size_t pending);

  CudaBlock *owner_;
  int thread_;
};

class CudaBlock {
 public:
  /// warps: each warp goes as far as it can before the next one begins.
  enum class Order : std::uint8_t { forward, backward, shuffled, warps };

  explicit CudaBlock(int threads, Order order = Order::forward);
  CudaBlock(const CudaBlock &) = delete;
  CudaBlock &operator=(const CudaBlock &) = delete;

  /// Runs `body` for all threads of block `block`. Shared memory is filled with NaN before.
  void run(int block, std::size_t shared_bytes, const std::function<void(CudaThread &)> &body);

  /// For what other parts of a machine signal: the running thread waits until `open` says so. `what` is told where that
  /// never comes.
  void wait_until(int thread, std::string what, std::function<bool()> open);
  /// The running thread goes no further.
  void stop() {
    wait_until(current_, "nothing, after a fault", [] { return false; });
  }
  /// Called when threads wait and none can run; true: something was done, so that some thread may.
  void on_idle(std::function<bool()> act) { act_ = std::move(act); }
  Order order() const { return order_; }

 private:
  friend class CudaThread;
  enum class State : std::uint8_t { ready, waits_for_warp, waits_for_block, waits, done };
  struct Fiber {
    ucontext_t context;  ///< at the beginning of the body
    jmp_buf place;       ///< where it waits
    bool begun = false;
    bool any = false;  ///< what it brought to a synchronisation that asks whether any thread does
    std::unique_ptr<std::byte[]> stack;
    State state = State::done;
    std::string what;            ///< that it waits for
    std::function<bool()> open;  ///< whether that has come
    WarpWord word = nullptr;     ///< what it waits to do with its warp; null: nothing
    void *call = nullptr;
    std::vector<AsyncCopy> copies;     ///< that have not been made, oldest first
    std::vector<std::size_t> commits;  ///< numbers of copies in each group
  };

  static void enter(unsigned high, unsigned low);
  void start(int thread);
  void wait(int thread, State state);
  int turn(int n) const;
  void go_on(Fiber &fiber);
  void resume(int thread);
  void step();
  bool release_warp(Fiber *warp);
  bool release_warps();
  bool release_block();
  bool release_waiting();
  bool all_done() const;
  std::string who_waits() const;

  Order order_;
  std::vector<Fiber> fibers_;
  jmp_buf scheduler_;
  const std::function<void(CudaThread &)> *body_ = nullptr;
  std::function<bool()> act_;
  std::unique_ptr<std::byte[]> shared_;
  std::size_t shared_bytes_ = 0;
  int block_ = 0;
  bool any_ = false;  ///< whether a thread brought true to the last synchronisation
  bool misaligned_ = false;
  int current_ = 0;
};

inline int CudaThread::block() const { return owner_->block_; }
inline std::byte *CudaThread::shared() const { return owner_->shared_.get(); }

}  // namespace flashring::test
