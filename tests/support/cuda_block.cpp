#include "support/cuda_block.hpp"

#include <algorithm>
#include <stdexcept>

namespace flashring::test {
namespace {

constexpr std::size_t stack_bytes = std::size_t{128} << 10;
constexpr int warp_threads = 32;

}  // namespace

CudaBlock::CudaBlock(int threads, Order order) : order_(order), fibers_(static_cast<std::size_t>(threads)) {
  for (std::vector<double> &values : exchanged_) values.resize(fibers_.size());
  for (Fiber &fiber : fibers_) fiber.stack = std::make_unique<std::byte[]>(stack_bytes);
}

void CudaThread::sync() { owner_->wait(thread_, CudaBlock::State::waits_for_block); }
void CudaThread::sync_warp() { owner_->wait(thread_, CudaBlock::State::waits_for_warp); }

void CudaBlock::wait(int thread, State state) {
  Fiber &fiber = fibers_[static_cast<std::size_t>(thread)];
  fiber.state = state;
  swapcontext(&fiber.context, &scheduler_);
}

/// makecontext passes ints alone: the address of the block comes in two halves.
void CudaBlock::enter(unsigned high, unsigned low) {
  auto *self = reinterpret_cast<CudaBlock *>((std::uintptr_t{high} << 32U) | low);
  CudaThread thread(*self, self->current_);
  (*self->body_)(thread);
  self->fibers_[static_cast<std::size_t>(thread.thread())].state = State::done;
}  // on to uc_link, the scheduler

void CudaBlock::start(int thread) {
  Fiber &fiber = fibers_[static_cast<std::size_t>(thread)];
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = stack_bytes;
  fiber.context.uc_link = &scheduler_;
  const auto address = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&fiber.context, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(address >> 32U),
              static_cast<unsigned>(address));
  fiber.state = State::ready;
}

/// The thread that is n-th.
int CudaBlock::turn(int n) const {
  const int threads = static_cast<int>(fibers_.size());
  if (order_ == Order::backward) return threads - 1 - n;
  if (order_ == Order::shuffled) return (n * 37 + 11) % threads;  // 37 divides no power of two
  return n;
}

/// Every thread that can run does so until it waits.
void CudaBlock::step() {
  for (int n = 0; n < static_cast<int>(fibers_.size()); ++n) {
    current_ = turn(n);
    Fiber &fiber = fibers_[static_cast<std::size_t>(current_)];
    if (fiber.state == State::ready) swapcontext(&scheduler_, &fiber.context);
  }
}

bool CudaBlock::release_warps() {
  bool any = false;
  for (auto warp = fibers_.begin(); warp != fibers_.end(); warp += warp_threads) {
    const bool all =
        std::all_of(warp, warp + warp_threads, [](const Fiber &f) { return f.state == State::waits_for_warp; });
    if (all) std::for_each(warp, warp + warp_threads, [](Fiber &f) { f.state = State::ready; });
    any = any || all;
  }
  return any;
}

bool CudaBlock::release_block() {
  const bool all =
      std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber &f) { return f.state == State::waits_for_block; });
  if (all)
    for (Fiber &fiber : fibers_) fiber.state = State::ready;
  return all;
}

void CudaBlock::run(int block, std::size_t shared_bytes, const std::function<void(CudaThread &)> &body) {
  // Allocated anew at the size that is asked for, so that a sanitizer sees what lies beyond.
  if (shared_bytes != shared_bytes_) shared_ = std::make_unique<std::byte[]>(shared_bytes);
  shared_bytes_ = shared_bytes;
  std::fill_n(shared_.get(), shared_bytes, std::byte{0xff});
  body_ = &body;
  block_ = block;
  for (int thread = 0; thread < static_cast<int>(fibers_.size()); ++thread) start(thread);
  do step();
  while (release_warps() || release_block());
  for (const Fiber &fiber : fibers_)
    if (fiber.state != State::done) throw std::logic_error("not all threads reached a synchronisation");
}

}  // namespace flashring::test
