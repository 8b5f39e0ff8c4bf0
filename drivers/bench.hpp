// What flashring-bench does alike in every mode: count work, measure the machine's ceilings and passes in turn, tell.
#pragma once

#include <array>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "driver.hpp"
#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"
#include "flashring/ring.hpp"
#include "flashring/threshold_rows.hpp"
#include "flashring/tile.hpp"
#include "flashring/transport.hpp"

namespace flashring {

/// Rows of scores, of mode rows.
struct RowScores {
  std::int64_t rows = 0, n = 0;
  ThresholdRowsOptions options;
};

/// What is measured, as the user said it.
struct BenchSettings {
  std::string mode;
  PointShape shape;
  int columns = 1;
  Sides sides = Sides::both;
  RowKind row = RowKind::sum;
  int repeats = 1;     ///< at least
  double seconds = 0;  ///< of all repeats together, at least
  RowScores scores;
  OperatorOptions op;
  TileShape tile_shape(const OperatorOptions &resolved) const {
    return {resolved.pair, row, 0, resolved.precision, shape.features, columns, {}};
  }
};

/// Work of one pass, all ranks together, counted from sizes alone.
struct BenchWork {
  double pairs = 0;            ///< pairs of points evaluated
  double effective_pairs = 0;  ///< entries of the matrix, N^2
  TileCost operations;         ///< of all evaluated pairs
  double bytes = 0;            ///< read and written by tile calls, the sums of states among them, most of it in caches
};

/// `sides` both: a square pass, in which the pairs of a tile with itself serve one side and all others two. `sides`
/// own: every entry by itself.
BenchWork count_work(const Backend &backend, const TileShape &shape, const RowPartition &partition, Sides sides);

/// The rates of one thread, measured again and again between the passes: clocks of machines drift. The best of ranks
/// and measurements count, kind by kind.
class Ceilings {
 public:
  Ceilings(const Communicator &communicator, const Backend &backend, const TileShape &shape)
      : communicator_(communicator), backend_(backend), shape_(shape) {}
  /// Collective.
  void measure();
  const Rates &first() const { return first_; }
  const Rates &last() const { return last_; }
  const Rates &best() const { return best_; }
  /// Seconds of the operations on one thread; 0 where the backend states no limit.
  double seconds(const TileCost &operations) const;

 private:
  const Communicator &communicator_;
  const Backend &backend_;
  TileShape shape_;
  Rates first_, last_, best_;
};

/// Repeats of one pass.
struct BenchTimes {
  std::vector<double> seconds;  ///< of each repeat on the slowest rank, ascending once all are made
  double pairs = 0;             ///< of the last repeat, all ranks
  double link_bytes = 0;        ///< likewise
  double wait_seconds = 0;      ///< of all repeats together, on the rank that waited most
  double total() const;
  double median() const;
  double best() const { return seconds.front(); }
  double wait_fraction() const { return wait_seconds / total(); }
};

/// One pass; the seconds it returns are the wall time on this rank.
using BenchPass = std::function<PassReport()>;

/// Every pass once for nothing, then in turn (A B A B) until each has `repeats` repeats and `seconds` in all.
/// Collective.
std::vector<BenchTimes> run_in_turn(const Communicator &communicator, const std::vector<BenchPass> &passes, int repeats,
                                    double seconds, Ceilings &ceilings);

/// Runs `pass` on rank 0; the other ranks sleep until it is done, so that none takes its core by asking for messages.
PassReport on_first_rank(const Communicator &communicator, Transport &transport, const BenchPass &pass);

/// Largest resident memory since the last reset_peak_memory(), bytes; 0 where the system does not tell.
double peak_memory();
void reset_peak_memory();

/// Where blocks of points are and how sums come home: mode ring makes an operator for each.
struct RingVariant {
  const char *exchange, *route;
};
inline constexpr std::array<RingVariant, 4> ring_variants{
    {{"ring", "direct"}, {"ring", "travel"}, {"resident", "direct"}, {"resident", "travel"}}};

using BenchLine = nlohmann::ordered_json;

/// Counts are whole numbers, so that no reader sees 1.2e9 pairs; beyond 64 bits a real number is left.
BenchLine whole(double value);

/// What the line says of version, machine and options.
void describe_run(BenchLine &line, const Communicator &communicator, const DriverOptions &options,
                  const OperatorOptions &op, const Backend &backend);
/// What it says of the work, of its limit (0: none is known) and of the time it took.
void describe_work(BenchLine &line, const BenchWork &work, const BenchTimes &times, double limit_seconds);
void describe_ceilings(BenchLine &line, const Ceilings &ceilings);
/// `line` on standard output, and the same in words on standard error.
void print_line(const BenchLine &line);

/// The modes; settings are checked. Collective.
BenchLine bench_tile(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings);
BenchLine bench_pass(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings);
BenchLine bench_ring(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings);
BenchLine bench_scale(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings);
BenchLine bench_rows(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings);

}  // namespace flashring
