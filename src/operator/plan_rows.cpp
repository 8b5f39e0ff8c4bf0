// Memory and time of rows of given scores: the arrays of the caller, numbers of rows, and a row at work of each thread.
#include <algorithm>
#include <chrono>

#include "base/threads.hpp"
#include "flashring/median.hpp"
#include "flashring/random.hpp"
#include "operator/threshold_rows.hpp"

namespace flashring {
namespace {

/// Bytes of a row beside its entries: what became of it, maximum and t, a sum for its parameter.
constexpr double row_bytes = sizeof(RowOutcome) + 16 + 8;
/// Of one that is split over ranks more: its search, two sums.
constexpr double split_row_bytes = sizeof(ThresholdSearch) + 16;

/// So many of the rows that a call takes some milliseconds, and of long ones a part.
RowsShape small_shape(const RowsShape &shape) {
  constexpr std::int64_t most = std::int64_t{1} << 20;  // numbers
  const std::int64_t n = std::clamp<std::int64_t>(shape.n, 1, most);
  return {std::clamp<std::int64_t>(shape.rows(), 1, std::max<std::int64_t>(1, most / n)), n, 1};
}

}  // namespace

RunPlan plan_rows(const Communicator &communicator, const RowsShape &shape, const ThresholdRowsOptions &options,
                  Storage storage, bool backward, bool split) {
  OperatorOptions host;  // rows are worked on there
  host.backend = "ref";
  host.threads = options.threads;
  host.exchange = "ring";
  const std::int64_t rows = split ? shape.rows() : communicator.sum(shape.rows());
  RunPlan plan = start_plan(communicator, host, {rows, 0});
  plan.unit = "rows of scores";
  plan.exchange = {};
  plan.points_memory = {};
  const double entries = communicator.max(static_cast<double>(shape.rows()) * static_cast<double>(shape.n));
  const double most_rows = communicator.max(static_cast<double>(shape.rows()));
  const double number = storage == Storage::fp64 ? 8 : 4;
  plan.phases = {
      {"computing",
       {{"arrays as they are stored", (backward ? 4 : 2) * entries * static_cast<double>(storage_bytes(storage))},
        {"numbers of rows", most_rows * (row_bytes + (split ? split_row_bytes : 0))},
        {"rows at work", 3.0 * plan.threads * number * communicator.max(static_cast<double>(room_of_row(shape)))},
        // Code and tables of MPI, HDF5 and OpenMP that the program as started had not touched: measured.
        {"libraries at work", 8e6}}}};
  return plan;
}

RowsCost measure_rows(const Communicator &communicator, const RowsShape &shape, const ThresholdRowsOptions &options,
                      Storage storage, bool backward) {
  using Clock = std::chrono::steady_clock;
  const RowsShape small = small_shape(shape);
  ThresholdRowsOptions how = options;
  how.threads = choose_threads(options.threads, communicator);
  if (!how.parameters.empty()) how.parameters.erase(how.parameters.begin() + 1, how.parameters.end());
  RowsCost cost;
  communicator.agree([&] {
    ThresholdRows rows(small, how);
    const auto count = static_cast<std::size_t>(small.rows() * small.n);
    std::vector<double> normal(count);
    for (std::size_t i = 0; i < count; ++i)
      normal[i] = i < 4096 ? random_normal(1, RandomStream::sample, i) : normal[i - 4096 + i / 4096 % 7];
    std::vector<std::byte> x(count * storage_bytes(storage));
    store_numbers(normal.data(), static_cast<std::int64_t>(count), x.data(), storage, 0, 1);
    std::vector<std::byte> p(x.size());
    std::vector<double> forward;
    std::vector<double> back;
    const auto seconds_since = [](Clock::time_point start) {
      return std::chrono::duration<double>(Clock::now() - start).count();
    };
    for (int n = 0; n < 4; ++n) {
      auto start = Clock::now();
      const ThresholdSaved saved = rows.forward(x.data(), storage, p.data());
      if (n > 0) forward.push_back(seconds_since(start));  // the first allocates
      start = Clock::now();
      if (backward) rows.backward(x.data(), saved, x.data(), storage, p.data());
      if (n > 0 && backward) back.push_back(seconds_since(start));
    }
    const double times = static_cast<double>(shape.rows()) * static_cast<double>(shape.n) / static_cast<double>(count);
    cost = {median_of(forward) * times, backward ? median_of(back) * times : 0};
  });
  return {communicator.max(cost.forward_seconds), communicator.max(cost.backward_seconds)};
}

}  // namespace flashring
