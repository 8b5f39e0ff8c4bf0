// One block of a Hopper GPU on a host: CudaBlock and what compute capability 9.0 adds. Everything that works by itself
// beside the threads does so as late as the rules allow, so that a missing wait gives wrong sums:
//
//   bulk copies   arrive when no thread can run any more, one at a time (or at once: Delivery::early, which shows
//                 what is overwritten too soon)
//   wgmma         reads shared memory and writes accumulators when its thread waits for it
//   mbarriers     count arrivals and bytes; more of them than a phase expects is an error
//
// wgmma sums as warp_words.hpp says. It finds its operands through the descriptor as the PTX manual says, whatever the
// kernel thinks of it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/cuda_block.hpp"

namespace flashring::test {

class HopperBlock;

/// What a body of kernels/sm90 asks of its thread; see sm90/evaluate.hpp.
class HopperThread : public CudaThread {
 public:
  HopperThread(const CudaThread &thread, HopperBlock &machine) : CudaThread(thread), machine_(&machine) {}

  int blocks() const;
  /// All consumers; all threads.
  void sync();
  void sync_block() { CudaThread::sync(); }

  std::uint32_t shared_address(const void *data) const;
  void init_barrier(std::uint64_t *barrier, int arrivals);
  void fence_barriers() {}
  void arrive(std::uint64_t *barrier);
  void arrive_expecting(std::uint64_t *barrier, std::uint32_t bytes);
  void wait_phase(std::uint64_t *barrier, std::uint32_t parity);
  void copy_bulk(void *to, const void *from, std::uint32_t bytes, std::uint64_t *barrier);

  template <int registers>
  void release_registers() {}
  template <int registers>
  void claim_registers() {}

  /// m64n128k16: accumulators (+)= A B^T, bf16, from descriptors of own and visiting rows.
  template <class Operands>
  void multiply(float (&accumulators)[16][4], const Operands &operands) {
    multiply_as(accumulators, operands.own, operands.visiting, true);
  }
  /// The same, whatever accumulators held.
  template <class Operands>
  void multiply_first(float (&accumulators)[16][4], const Operands &operands) {
    multiply_as(accumulators, operands.own, operands.visiting, false);
  }
  void order_products() {}
  void commit_products() { ++groups_; }
  /// All groups but the latest `left` are through.
  template <int left>
  void wait_products() {
    wait_groups(left);
  }
  void finish_products(float (&/*accumulators*/)[16][4]) { wait_groups(0); }

 private:
  friend class HopperBlock;
  struct Product {
    float (*accumulators)[4];
    std::uint64_t a, b;
    bool add;
    int group;
  };
  void multiply_as(float (&accumulators)[16][4], std::uint64_t a, std::uint64_t b, bool add);
  void wait_groups(int left);
  void execute(const Product &product) const;

  HopperBlock *machine_;
  std::deque<Product> products_;
  int groups_ = 0;
};

class HopperBlock {
 public:
  enum class Delivery : std::uint8_t { late, early };

  /// `consumers`: threads that HopperThread::sync() waits for.
  HopperBlock(int threads, int consumers, CudaBlock::Order order = CudaBlock::Order::forward,
              Delivery delivery = Delivery::late);

  /// Runs `body` for block `block` of `blocks`. Throws std::logic_error that tells the first fault, or who waits for
  /// what when nobody can go on.
  void run(int block, int blocks, std::size_t shared_bytes, const std::function<void(HopperThread &)> &body);

 private:
  friend class HopperThread;
  struct Barrier {
    int expected = 0;
    int pending = 0;
    std::int64_t bytes = 0;
    std::uint32_t phases = 0;  // that are complete
  };
  struct Copy {
    std::byte *to;
    const std::byte *from;
    std::uint32_t bytes;
    std::uint64_t *barrier;
  };
  struct Meeting {
    int arrived = 0;
    int turns = 0;
  };

  Barrier &barrier_at(const std::uint64_t *barrier);
  void take_arrival(Barrier &barrier);
  static void finish_phase(Barrier &barrier);
  bool deliver();
  void check_shared(const CudaThread &thread, const void *data, std::size_t bytes, const char *what);
  /// The fault is kept, and the thread ends here.
  void fault(const std::string &text);

  CudaBlock block_;
  Delivery delivery_;
  int consumers_;
  int blocks_ = 1;
  std::size_t shared_bytes_ = 0;
  std::map<const std::uint64_t *, Barrier> barriers_;
  std::deque<Copy> copies_;
  Meeting meeting_;
  std::string fault_;
};

/// Where bit 4 and up of an address in a swizzled matrix lead: `mode` as in bits 62 and 63 of a descriptor.
std::uint32_t swizzled_address(std::uint32_t address, int mode);
/// Address of element (row, k) of a 16-bit operand with consecutive k side by side (K-major), by the PTX manual.
std::uint32_t operand_address(std::uint64_t descriptor, int row, int k);

}  // namespace flashring::test
