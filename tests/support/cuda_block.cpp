#include "support/cuda_block.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace flashring::test {
namespace {

constexpr std::size_t stack_bytes = std::size_t{128} << 10;
constexpr int warp_threads = 32;

}  // namespace

CudaBlock::CudaBlock(int threads, Order order) : order_(order), fibers_(static_cast<std::size_t>(threads)) {
  // Not filled: a kernel touches few of these pages.
  for (Fiber &fiber : fibers_) fiber.stack = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
}

void CudaThread::sync() { owner_->wait(thread_, CudaBlock::State::waits_for_block); }
bool CudaThread::sync_or(bool any) {
  owner_->fibers_[static_cast<std::size_t>(thread_)].any = any;
  sync();
  return owner_->any_;
}
void CudaThread::sync_warp() { together(nullptr, nullptr); }

void CudaThread::together(WarpWord word, void *call) {
  CudaBlock::Fiber &fiber = owner_->fibers_[static_cast<std::size_t>(thread_)];
  fiber.word = word;
  fiber.call = call;
  owner_->wait(thread_, CudaBlock::State::waits_for_warp);
}

void CudaThread::mma_bf16(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  MmaCall call{sum, a, b};
  together(mma_warp, &call);
}

void CudaThread::load_matrices(const std::byte *row, std::uint32_t (&matrices)[4]) {
  MatricesCall call{row, matrices};
  together(load_matrices_warp, &call);
}

std::uint32_t CudaThread::transpose_matrix(std::uint32_t matrix) {
  together(transpose_warp, &matrix);
  return matrix;
}

void CudaThread::copy_async(std::byte *to, const std::byte *from) {
  const auto aligned = [](const std::byte *p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  if (!aligned(to) || !aligned(from)) owner_->misaligned_ = true;  // told by run: nothing is thrown out of a fiber
  owner_->fibers_[static_cast<std::size_t>(thread_)].copies.push_back({to, from});
}

void CudaThread::commit_copies() {
  CudaBlock::Fiber &fiber = owner_->fibers_[static_cast<std::size_t>(thread_)];
  std::size_t grouped = 0;
  for (const std::size_t count : fiber.commits) grouped += count;
  fiber.commits.push_back(fiber.copies.size() - grouped);
}

void CudaThread::wait_copies(std::size_t pending) {
  CudaBlock::Fiber &fiber = owner_->fibers_[static_cast<std::size_t>(thread_)];
  while (fiber.commits.size() > pending) {
    const auto end = fiber.copies.begin() + static_cast<std::ptrdiff_t>(fiber.commits.front());
    std::for_each(fiber.copies.begin(), end, [](const AsyncCopy &copy) { std::memcpy(copy.to, copy.from, 16); });
    fiber.copies.erase(fiber.copies.begin(), end);
    fiber.commits.erase(fiber.commits.begin());
  }
}

void CudaBlock::wait(int thread, State state) {
  Fiber &fiber = fibers_[static_cast<std::size_t>(thread)];
  fiber.state = state;
  if (_setjmp(fiber.place) == 0) _longjmp(scheduler_, 1);
}

/// makecontext passes ints alone: the address of the block comes in two halves.
void CudaBlock::enter(unsigned high, unsigned low) {
  auto *self = reinterpret_cast<CudaBlock *>((std::uintptr_t{high} << 32U) | low);
  CudaThread thread(*self, self->current_);
  (*self->body_)(thread);
  self->fibers_[static_cast<std::size_t>(thread.thread())].state = State::done;
  _longjmp(self->scheduler_, 1);
}

void CudaBlock::start(int thread) {
  Fiber &fiber = fibers_[static_cast<std::size_t>(thread)];
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = stack_bytes;
  fiber.context.uc_link = nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&fiber.context, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(address >> 32U),
              static_cast<unsigned>(address));
  fiber.state = State::ready;
  fiber.begun = false;
  fiber.copies.clear();
  fiber.commits.clear();
}

/// The thread that is n-th.
int CudaBlock::turn(int n) const {
  const int threads = static_cast<int>(fibers_.size());
  if (order_ == Order::backward) return threads - 1 - n;
  if (order_ == Order::shuffled) return (n * 37 + 11) % threads;  // 37 divides no power of two
  return n;
}

/// Until it waits or ends.
void CudaBlock::go_on(Fiber &fiber) {
  if (_setjmp(scheduler_) != 0) return;
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  setcontext(&fiber.context);
}

void CudaBlock::resume(int thread) {
  Fiber &fiber = fibers_[static_cast<std::size_t>(thread)];
  if (fiber.state == State::waits && fiber.open()) fiber.state = State::ready;
  if (fiber.state != State::ready) return;
  current_ = thread;
  go_on(fiber);
}

/// Every thread that can run does so until it waits.
void CudaBlock::step() {
  const int threads = static_cast<int>(fibers_.size());
  if (order_ != Order::warps) {
    for (int n = 0; n < threads; ++n) resume(turn(n));
    return;
  }
  // The last warp first: it is then ahead of the first ones, which mostly add up what all have left.
  for (int first = threads - warp_threads; first >= 0; first -= warp_threads) do
      for (int lane = 0; lane < warp_threads; ++lane) resume(first + lane);
    while (release_warp(fibers_.data() + first));
}

/// All lanes of a warp go on when all of them wait, after they have done what they asked for.
bool CudaBlock::release_warp(Fiber *warp) {
  if (!std::all_of(warp, warp + warp_threads, [](const Fiber &f) { return f.state == State::waits_for_warp; }))
    return false;
  void *calls[warp_threads];  // (lanes)
  for (int lane = 0; lane < warp_threads; ++lane) {
    if (warp[lane].word != warp->word) throw std::logic_error("lanes of a warp do different things together");
    calls[lane] = warp[lane].call;
    warp[lane].state = State::ready;
  }
  if (warp->word != nullptr) warp->word(calls);
  return true;
}

bool CudaBlock::release_warps() {
  bool any = false;
  for (std::size_t first = 0; first < fibers_.size(); first += warp_threads)
    any = release_warp(fibers_.data() + first) || any;
  return any;
}

bool CudaBlock::release_block() {
  const bool all =
      std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber &f) { return f.state == State::waits_for_block; });
  if (!all) return false;
  any_ = std::any_of(fibers_.begin(), fibers_.end(), [](const Fiber &f) { return f.any; });
  for (Fiber &fiber : fibers_) {
    fiber.state = State::ready;
    fiber.any = false;
  }
  return true;
}

void CudaBlock::wait_until(int thread, std::string what, std::function<bool()> open) {
  if (open()) return;
  Fiber &fiber = fibers_[static_cast<std::size_t>(thread)];
  fiber.what = std::move(what);
  fiber.open = std::move(open);
  wait(thread, State::waits);
}

bool CudaBlock::release_waiting() {
  bool any = false;
  for (Fiber &fiber : fibers_)
    if (fiber.state == State::waits && fiber.open()) {
      fiber.state = State::ready;
      any = true;
    }
  return any;
}

bool CudaBlock::all_done() const {
  return std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber &f) { return f.state == State::done; });
}

/// Neighbouring threads that wait for the same are told together.
std::string CudaBlock::who_waits() const {
  const auto what = [](const Fiber &f) -> std::string {
    if (f.state == State::done) return "";
    return f.state == State::waits ? f.what : f.state == State::waits_for_warp ? "their warp" : "their block";
  };
  std::string text;
  for (std::size_t first = 0, last = 0; first < fibers_.size(); first = last) {
    const std::string waits = what(fibers_[first]);
    while (last < fibers_.size() && what(fibers_[last]) == waits) ++last;
    if (!waits.empty())
      text += "; threads " + std::to_string(first) + " to " + std::to_string(last - 1) + " wait for " + waits;
  }
  return text;
}

void CudaBlock::run(int block, std::size_t shared_bytes, const std::function<void(CudaThread &)> &body) {
  // Allocated anew at the size that is asked for, so that a sanitizer sees what lies beyond.
  if (shared_bytes != shared_bytes_) shared_ = std::make_unique<std::byte[]>(shared_bytes);
  shared_bytes_ = shared_bytes;
  std::fill_n(shared_.get(), shared_bytes, std::byte{0xff});
  body_ = &body;
  misaligned_ = false;
  block_ = block;
  for (int thread = 0; thread < static_cast<int>(fibers_.size()); ++thread) start(thread);
  do step();
  while (release_warps() || release_block() || release_waiting() || (act_ && !all_done() && act_()));
  if (misaligned_) throw std::logic_error("an asynchronous copy is not aligned to 16 bytes");
  const std::string waiting = who_waits();
  if (!waiting.empty()) throw std::logic_error("not all threads reached a synchronisation" + waiting);
}

}  // namespace flashring::test
