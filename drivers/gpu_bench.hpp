// What gpu_bench measures: passes of one size, and the limits that stand beside them.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "ceilings/ceilings.hpp"
#include "flashring/tile.hpp"

namespace flashring::gpu_bench {

/// One line of the table.
struct Case {
  Precision precision = Precision::fp32;
  RowKind row = RowKind::sum;
  int features = 3;
  int columns = 1;
  std::int64_t rows = 0;
  bool square = true;  ///< each pair of tiles once, for both sides; else every pair for the own side
  /// Queries meet keys, a block of their own, with the weights of attention; `columns` are all those of the rule.
  bool attention = false;
  bool host_points = false;  ///< points lie on the host and go to the device in parts
  bool is_gradient() const { return row == RowKind::softmax_gradient || row == RowKind::threshold_gradient; }
  Sides sides() const { return square || is_gradient() ? Sides::both : Sides::own; }
  TileShape shape() const;
};

/// In an order in which neighbours share their points. `tiny`: few rows.
std::vector<Case> all_cases(bool tiny);

/// Pairs of points per second that one resource allows alone. 0: unknown.
struct Limits {
  double exponential = 0;  ///< special function unit; fp64: multiply-adds of its polynomial
  double tensor = 0;       ///< products of matrix units, at the pieces that the precision needs; not for fp64
  double arithmetic = 0;   ///< multiply-adds and additions of the backend's own counts
  /// The least of those that no kernel of this precision gets around: the first two, or for fp64 the first and last.
  double least() const;
};
Limits limits(const Backend &backend, const Case &one, const ceilings::GpuRates &rates);

struct Measured {
  double seconds = 0;    ///< median of a pass
  double evaluated = 0;  ///< pairs of points of a pass
  int runs = 0;
  std::string not_run;  ///< why, if so
};

/// Runs passes one after the other and keeps the points of the last one.
class Passes {
 public:
  /// `enough`: seconds of timed passes after which a case has been measured, 3 passes or more.
  Passes(const Backend &backend, double enough);
  ~Passes();
  Passes(const Passes &) = delete;
  Passes &operator=(const Passes &) = delete;
  /// `allowed`: seconds for this case; a short pass says beforehand whether they are enough.
  Measured measure(const Case &one, double allowed);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct Row {
  std::string backend;
  std::string target;
  Case one;
  Measured measured;
  Limits limits;
};
/// A table on stdout, and one JSON object a line in `json` unless that is null.
void print_ceilings(const ceilings::GpuRates &rates, std::FILE *json);
void print_header();
void print_row(const Row &row, std::FILE *json);

/// A number that is asked for, and what was measured.
struct Verdict {
  std::string what;
  std::string where;  ///< the row that decided
  double value = 0;   ///< 0: not measured
  double target = 0;
  bool at_least = true;  ///< else at most
  bool met() const { return value > 0 && (at_least ? value >= target : value <= target); }
};
/// Of a whole table: pairs per second at few features, evaluated and effective; the part of the tensor limit at 64;
/// what 32 columns cost. Each of the fastest backend, where that is least favourable among the sizes that it is asked
/// of.
std::vector<Verdict> verdicts(const std::vector<Row> &rows);
/// A line that begins with "reach:", and a JSON object.
void print_verdict(const Verdict &verdict, std::FILE *json);

/// The same of rows of scores in the backend's memory, forward and backward, beside copied bytes per second.
void run_scores(const std::string &backend, double copied_bytes, bool tiny, std::FILE *json);

}  // namespace flashring::gpu_bench
