#include "support/hopper_block.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace flashring::test {
namespace {

/// Where the shared memory of a block begins: not at 0, so that offsets are not taken for addresses.
constexpr std::uint32_t shared_base = 1024;
constexpr int product_columns = 16;
constexpr int group_threads = 128;

float bf16_at(const std::byte *memory, std::uint32_t address) {
  std::uint16_t bits;
  std::memcpy(&bits, memory + (address - shared_base), sizeof(bits));
  const std::uint32_t wide = std::uint32_t{bits} << 16U;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

}  // namespace

std::uint32_t swizzled_address(std::uint32_t address, int mode) {
  // 0: as it is; 1, 2, 3: rows of 128, 64, 32 bytes, whose 3, 2, 1 bits from bit 4 on are flipped by those from bit 7.
  const std::uint32_t bits = mode == 0 ? 0 : (1U << (4 - mode)) - 1;
  return address ^ (((address >> 7U) & bits) << 4U);
}

std::uint32_t operand_address(std::uint64_t descriptor, int row, int k) {
  const auto field = [&](int first) { return static_cast<std::uint32_t>(descriptor >> first & 0x3fffU) << 4U; };
  const std::uint32_t start = field(0);
  const std::uint32_t leading = field(16);
  const std::uint32_t stride = field(32);
  const auto mode = static_cast<int>(descriptor >> 62U);
  const auto r = static_cast<std::uint32_t>(row);
  const auto byte = static_cast<std::uint32_t>(2 * k);
  // Without a swizzle 8 rows x 16 bytes lie together; otherwise 8 rows of the whole width.
  if (mode == 0) return start + r / 8 * stride + byte / 16 * leading + r % 8 * 16 + byte % 16;
  const std::uint32_t width = 256U >> static_cast<unsigned>(mode);
  return swizzled_address(start + r / 8 * stride + r % 8 * width + byte, mode);
}

int HopperThread::blocks() const { return machine_->blocks_; }

void HopperThread::sync() {
  HopperBlock::Meeting &meeting = machine_->meeting_;
  if (thread() >= machine_->consumers_) machine_->fault("a thread that is no consumer waits for consumers");
  const int turn = meeting.turns;
  if (++meeting.arrived == machine_->consumers_) {
    meeting.arrived = 0;
    ++meeting.turns;
  }
  machine_->block_.wait_until(thread(), "the other consumers", [&meeting, turn] { return meeting.turns != turn; });
}

std::uint32_t HopperThread::shared_address(const void *data) const {
  return shared_base + static_cast<std::uint32_t>(static_cast<const std::byte *>(data) - shared());
}

void HopperThread::init_barrier(std::uint64_t *barrier, int arrivals) {
  machine_->check_shared(*this, barrier, sizeof(*barrier), "an mbarrier");
  if (machine_->barriers_.count(barrier) != 0) machine_->fault("an mbarrier is set up twice");
  machine_->barriers_[barrier] = {arrivals, arrivals, 0, 0};
}

void HopperThread::arrive(std::uint64_t *barrier) { machine_->take_arrival(machine_->barrier_at(barrier)); }

void HopperThread::arrive_expecting(std::uint64_t *barrier, std::uint32_t bytes) {
  HopperBlock::Barrier &b = machine_->barrier_at(barrier);
  b.bytes += bytes;
  if (b.bytes >= std::int64_t{1} << 20U) machine_->fault("an mbarrier cannot count so many bytes");
  machine_->take_arrival(b);
}

void HopperThread::wait_phase(std::uint64_t *barrier, std::uint32_t parity) {
  const HopperBlock::Barrier *b = &machine_->barrier_at(barrier);
  machine_->block_.wait_until(thread(),
                              "phase " + std::to_string(parity) + " of the mbarrier at byte " +
                                  std::to_string(shared_address(barrier) - shared_base),
                              [b, parity] { return b->phases % 2 != parity; });
}

void HopperThread::copy_bulk(void *to, const void *from, std::uint32_t bytes, std::uint64_t *barrier) {
  const auto aligned = [](const void *p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  machine_->check_shared(*this, to, bytes, "a bulk copy");
  if (shared_address(to) % 16 != 0 || !aligned(from) || bytes % 16 != 0 || bytes == 0)
    machine_->fault("a bulk copy that is not of whole 16 bytes");
  machine_->barrier_at(barrier);
  machine_->copies_.push_back({static_cast<std::byte *>(to), static_cast<const std::byte *>(from), bytes, barrier});
  if (machine_->delivery_ == HopperBlock::Delivery::early) machine_->deliver();
}

void HopperThread::multiply_as(float (&accumulators)[16][4], std::uint64_t a, std::uint64_t b, bool add) {
  if (!add) {
    for (const Product &product : products_)
      if (product.accumulators == accumulators) machine_->fault("accumulators of a product under way are overwritten");
    for (float(&block)[4] : accumulators) std::fill_n(block, 4, std::numeric_limits<float>::quiet_NaN());
  }
  products_.push_back({accumulators, a, b, add, groups_});
}

void HopperThread::wait_groups(int left) {
  while (!products_.empty() && products_.front().group < groups_ - left) {
    execute(products_.front());
    products_.pop_front();
  }
}

/// This thread's part, by the manual's table of accumulators: rows 16 w + l/4 and 8 further, columns 8n + 2 (l%4) +
/// {0,1} for lane l of warp w of the group.
void HopperThread::execute(const Product &product) const {
  float a[2][product_columns];
  for (int half = 0; half < 2; ++half)
    for (int k = 0; k < product_columns; ++k)
      a[half][k] =
          bf16_at(shared(), operand_address(product.a, thread() % group_threads / 32 * 16 + lane() / 4 + 8 * half, k));
  for (int n = 0; n < 16; ++n)
    for (int odd = 0; odd < 2; ++odd) {
      float b[product_columns];
      for (int k = 0; k < product_columns; ++k)
        b[k] = bf16_at(shared(), operand_address(product.b, 8 * n + 2 * (lane() % 4) + odd, k));
      for (int half = 0; half < 2; ++half) {
        float &sum = product.accumulators[n][2 * half + odd];
        sum = unit_sum(product.add ? sum : 0, a[half], b);
      }
    }
}

HopperBlock::HopperBlock(int threads, int consumers, CudaBlock::Order order, Delivery delivery)
    : block_(threads, order), delivery_(delivery), consumers_(consumers) {
  block_.on_idle([this] { return deliver(); });
}

void HopperBlock::run(int block, int blocks, std::size_t shared_bytes,
                      const std::function<void(HopperThread &)> &body) {
  blocks_ = blocks;
  shared_bytes_ = shared_bytes;
  barriers_.clear();
  copies_.clear();
  meeting_ = {};
  fault_.clear();
  try {
    block_.run(block, shared_bytes, [&](CudaThread &t) {
      HopperThread thread(t, *this);
      body(thread);
      if (!thread.products_.empty()) fault("products are under way when a thread ends");
    });
  } catch (const std::logic_error &error) {
    throw std::logic_error(fault_.empty() ? error.what() : fault_ + " (" + error.what() + ")");
  }
  if (!copies_.empty()) throw std::logic_error("bulk copies are under way when the block ends");
}

HopperBlock::Barrier &HopperBlock::barrier_at(const std::uint64_t *barrier) {
  const auto found = barriers_.find(barrier);
  if (found == barriers_.end()) fault("an mbarrier that was not set up");
  return found->second;
}

void HopperBlock::finish_phase(Barrier &barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  barrier.pending = barrier.expected;
  ++barrier.phases;
}

void HopperBlock::take_arrival(Barrier &barrier) {
  if (barrier.pending == 0) fault("more arrivals at an mbarrier than its phase expects");
  --barrier.pending;
  finish_phase(barrier);
}

/// One copy, its bytes and its message. In orders other than forward the latest comes first.
bool HopperBlock::deliver() {
  if (copies_.empty() || !fault_.empty()) return false;
  const bool latest = block_.order() != CudaBlock::Order::forward;
  const Copy copy = latest ? copies_.back() : copies_.front();
  latest ? copies_.pop_back() : copies_.pop_front();
  std::memcpy(copy.to, copy.from, copy.bytes);
  Barrier &barrier = barriers_.at(copy.barrier);
  barrier.bytes -= copy.bytes;
  finish_phase(barrier);
  return true;
}

void HopperBlock::check_shared(const CudaThread &thread, const void *data, std::size_t bytes, const char *what) {
  const auto *at = static_cast<const std::byte *>(data);
  if (at < thread.shared() || at + bytes > thread.shared() + shared_bytes_)
    fault(std::string(what) + " outside the shared memory of the block");
}

void HopperBlock::fault(const std::string &text) {
  if (fault_.empty()) fault_ = text;
  block_.stop();
}

}  // namespace flashring::test
