#include "support/sm80_scores.hpp"

#include <cstring>
#include <new>

#include "sm80/row_steps.hpp"

namespace flashring::test {
namespace {

CudaBlock::Order current_order = CudaBlock::Order::shuffled;

std::byte *allocate(std::size_t bytes) {
  auto *data = static_cast<std::byte *>(::operator new(bytes));
  std::memset(data, 0xff, bytes);
  return data;
}
void release(std::byte *data) { ::operator delete(data); }
void copy(std::byte *to, const std::byte *from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
const char *finish() { return nullptr; }

constexpr Device memory = {allocate, release, copy,    copy,    nullptr, nullptr, nullptr, nullptr, nullptr,
                           nullptr,  nullptr, nullptr, nullptr, finish,  nullptr, nullptr, nullptr, 1};

bool is_whole(ThresholdStep step, Storage storage, std::int64_t n) {
  return sm80::is_whole_row(step, storage, n, emulated_shared_bytes);
}

template <class T>
void run_in(const ThresholdCall &call) {
  const sm80::RowCut cut = sm80::cut_rows(call.step, call.n);
  const int groups = cut.threads / cut.width;
  CudaBlock block(cut.threads, current_order);
  for (std::int64_t b = 0; b * groups < call.rows * cut.parts; ++b)
    block.run(static_cast<int>(b), sm80::row_shared_bytes(call.step, cut, sizeof(T)), [&](CudaThread &t) {
      if (reads_gradient(call.step))
        sm80::differentiate_rows<T>(t, call, cut);
      else
        sm80::weigh_rows<T>(t, call, cut);
    });
  if (cut.parts == 1) return;
  CudaBlock adding(sm80::row_threads, current_order);
  for (std::int64_t row = 0; row < call.rows; ++row)
    adding.run(static_cast<int>(row), sm80::row_threads / 32 * sizeof(ThresholdSums),
               [&](CudaThread &t) { sm80::add_parts(t, call, cut); });
}

void run(const ThresholdCall &call) { call.storage == Storage::fp64 ? run_in<double>(call) : run_in<float>(call); }

}  // namespace

const ThresholdBackend &emulated_scores(CudaBlock::Order order) {
  static const ThresholdDevice device = {&memory, is_whole, sm80::row_scratch_numbers, run};
  static const ThresholdBackend table = {"sm80", "emulated", {}, {}, &device};
  current_order = order;
  return table;
}

}  // namespace flashring::test
