#include "bench.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <thread>

#include "flashring/check.hpp"
#include "flashring/median.hpp"

namespace flashring {
namespace {

/// Rows squared, summed over all tiles, and the number of tiles.
struct TileSums {
  double squares = 0;
  double tiles = 0;
};

TileSums sum_tiles(const RowPartition &partition, int tile_rows) {
  TileSums sums;
  for (int rank = 0; rank < partition.ranks(); ++rank)
    for (const RowRange &range : partition.ranges(rank)) {
      const std::int64_t full_tiles = range.count / tile_rows;
      const auto full = static_cast<double>(full_tiles);
      const auto rest = static_cast<double>(range.count % tile_rows);
      sums.squares += full * tile_rows * tile_rows + rest * rest;
      sums.tiles += full + (rest > 0 ? 1 : 0);
    }
  return sums;
}

void add(TileCost &sum, const TileCost &cost, double pairs) {
  sum.multiply_adds += pairs * cost.multiply_adds;
  sum.adds += pairs * cost.adds;
  sum.exponentials += pairs * cost.exponentials;
  sum.products += pairs * cost.products;
}

/// Both payloads are read once; every side that receives reads columns, and its sums are read and written.
double bytes_of_tile_pair(const Backend &backend, const TileShape &shape, int receiving_sides) {
  const RowRule &rule = row_rule(shape.row);
  const double columns = (shape.columns + rule.scalars) * static_cast<double>(column_bytes(shape.precision));
  const double sums = 2.0 * 8 * rule.state_words(shape.pass, shape.columns);
  return 2.0 * static_cast<double>(backend.payload_bytes(shape)) +
         receiving_sides * (columns + sums) * backend.tile_rows;
}

/// Rates as loops show them: multiply-adds alone, each with an addition, exponentials, products. The rate of additions
/// is a difference of the first two, of which the best of several measurements would be one of noise.
using Measured = std::array<double, 4>;

Measured to_measured(const Rates &rates) {
  return {rates.multiply_adds, 1 / (1 / rates.multiply_adds + 1 / rates.adds), rates.exponentials, rates.products};
}

Rates to_rates(const Measured &measured) {
  if (measured[0] == 0) return {};
  const double adds = 1 / measured[1] - 1 / measured[0];  // seconds
  const bool hidden = adds <= 1e-3 / measured[0];         // the additions take no time of their own
  return {measured[0], hidden ? std::numeric_limits<double>::infinity() : 1 / adds, measured[2], measured[3]};
}

/// Runs once; all ranks start together.
double time_pass(const Communicator &communicator, const BenchPass &pass, BenchTimes &times) {
  communicator.max(0.0);
  const PassReport report = pass();
  times.pairs = communicator.sum(report.pairs);
  times.link_bytes = communicator.sum(report.bytes_sent);
  times.wait_seconds += report.wait_seconds;
  times.seconds.push_back(communicator.max(report.seconds));
  return times.seconds.back();
}

}  // namespace

BenchWork count_work(const Backend &backend, const TileShape &shape, const RowPartition &partition, Sides sides) {
  const TileSums sums = sum_tiles(partition, backend.tile_rows);
  const auto rows = static_cast<double>(partition.rows());
  BenchWork work;
  work.effective_pairs = rows * rows;
  const bool square = sides == Sides::both;
  const double one_sided = square ? sums.squares : work.effective_pairs;
  const double two_sided = square ? (work.effective_pairs - sums.squares) / 2 : 0;
  work.pairs = one_sided + two_sided;
  add(work.operations, backend.cost(shape, Sides::own), one_sided);
  add(work.operations, backend.cost(shape, Sides::both), two_sided);
  const double calls_one = square ? sums.tiles : sums.tiles * sums.tiles;
  const double calls_two = square ? sums.tiles * (sums.tiles - 1) / 2 : 0;
  work.bytes = calls_one * bytes_of_tile_pair(backend, shape, 1) + calls_two * bytes_of_tile_pair(backend, shape, 2);
  return work;
}

void Ceilings::measure() {
  Measured measured = to_measured(backend_.rates(shape_));
  communicator_.max(std::span<double>(measured));
  last_ = to_rates(measured);
  if (first_.multiply_adds == 0) first_ = last_;
  const Measured before = to_measured(best_);
  for (std::size_t kind = 0; kind < measured.size(); ++kind) measured[kind] = std::max(measured[kind], before[kind]);
  best_ = to_rates(measured);
}

double Ceilings::seconds(const TileCost &operations) const {
  return best_.multiply_adds > 0 ? best_.seconds(operations) : 0;
}

double BenchTimes::total() const { return std::accumulate(seconds.begin(), seconds.end(), 0.0); }

double BenchTimes::median() const { return median_of(seconds); }

std::vector<BenchTimes> run_in_turn(const Communicator &communicator, const std::vector<BenchPass> &passes, int repeats,
                                    double seconds, Ceilings &ceilings) {
  // Seconds of passes: a measurement of the ceilings takes about 9 % of that in fp32 and 14 % in fp64.
  constexpr double between_ceilings = 0.2;
  std::vector<BenchTimes> all(passes.size());
  for (const BenchPass &pass : passes) pass();  // buffers, page faults, frequency
  ceilings.measure();
  double since = 0;
  const auto more = [&] {
    return std::any_of(all.begin(), all.end(), [&](const BenchTimes &times) {
      return times.seconds.size() < static_cast<std::size_t>(repeats) || times.total() < seconds;
    });
  };
  while (more()) {
    for (std::size_t i = 0; i < passes.size(); ++i) since += time_pass(communicator, passes[i], all[i]);
    if (since < between_ceilings) continue;
    ceilings.measure();
    since = 0;
  }
  ceilings.measure();
  for (BenchTimes &times : all) {
    std::sort(times.seconds.begin(), times.seconds.end());
    times.wait_seconds = communicator.max(times.wait_seconds);
  }
  return all;
}

PassReport on_first_rank(const Communicator &communicator, Transport &transport, const BenchPass &pass) {
  PassReport report;
  std::byte done{1};
  if (communicator.rank() == 0) {
    report = pass();
    std::vector<Message> sends;
    for (int rank = 1; rank < communicator.size(); ++rank) sends.push_back({rank, 0, &done, 1});
    transport.start(sends, {})->wait();
    return report;
  }
  const Message receive{0, 0, &done, 1};
  const std::unique_ptr<Exchange> exchange = transport.start({}, {&receive, 1});
  while (!exchange->test()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  exchange->wait();
  return report;
}

double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return 1024 * kilobytes;
  }
  return 0;
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace flashring
