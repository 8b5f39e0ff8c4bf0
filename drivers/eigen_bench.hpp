// What flashring-bench-eigen does: reads a list of solvers, runs them in turn, compares what they found.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench.hpp"
#include "driver.hpp"
#include "flashring/eigensolve.hpp"
#include "flashring/input.hpp"
#include "flashring/kernel_operator.hpp"

namespace flashring {

/// One entry of -solvers.
struct SolverEntry {
  std::string text;     ///< as the user wrote it, blanks at its ends left out
  std::string options;  ///< for PETSc: -eps_type TYPE and what follows the type
  std::string prefix;   ///< of its options, different for every entry
};

/// "TYPE -option value ...;TYPE ...". Throws Error for an entry that does not begin with a type, and where none is
/// left.
std::vector<SolverEntry> parse_solvers(std::string_view list);

struct EigenBenchSettings {
  InputOptions input;
  OperatorOptions op;
  PointShape shape;
  EigenRequest request;  ///< pairs, tolerance and seed; the prefix is that of each solver
  std::vector<SolverEntry> solvers;
  int repeats = 1;
  bool fresh = true;  ///< every run has an operator of its own, of which nothing is known
};

/// One solve. Seconds and bytes are those of the rank that has most.
struct SolverRun {
  double seconds = 0;
  double pass_seconds = 0;  ///< of these in products with the matrix
  double cpu_seconds = 0;   ///< of processor, all threads: other programs do not enter, waiting for messages does
  std::int64_t passes = 0;
  std::int64_t column_passes = 0;
  double memory = 0;  ///< peak above what there was when it began, bytes; 0 where the system does not tell
};

/// What a solver did and found.
struct SolverFindings {
  SolverEntry entry;
  std::vector<SolverRun> runs;
  std::vector<double> values;     // (found), descending
  std::vector<double> residuals;  // (found), measured in fp64, not counted
  bool complete = false;
  std::string status;  ///< empty: it has not run
  int missed = 0;      ///< values of best_values() that are not among its own
  bool right(int pairs) const { return complete && missed == 0 && static_cast<int>(values.size()) >= pairs; }
  /// The run of median seconds, the shorter one of the middle two. There must be one.
  const SolverRun &median() const;
  double least_seconds() const;
};

/// Eigenvalues as they were found, with the distance within which a true one lies.
struct FoundValues {
  std::vector<double> values;     // (k), descending
  std::vector<double> residuals;  // (k)
};

/// Place by place the largest of all values found, with its residual: no orthonormal vectors give a k-th Ritz value
/// above the k-th eigenvalue (Cauchy's interlacing), so who has less there has missed one before.
FoundValues best_values(std::span<const SolverFindings> all);

/// How many of `best` have no partner among the values found, each partner used once: two values belong together when
/// their residuals allow the same eigenvalue.
int count_missed(const FoundValues &best, const SolverFindings &found);

/// Runs every solver once for its residuals and to warm the machine, then all in turn, `repeats` times. `interrupted`:
/// the user asked for the end, and what there is has been kept. Collective. Throws Error.
std::vector<SolverFindings> run_solvers(const Communicator &communicator, const DriverOptions &options,
                                        EigenBenchSettings &settings, bool &interrupted);

/// Place of the solver that found all pairs in least seconds; -1 where none did.
int fastest_of(std::span<const SolverFindings> all, int pairs);

/// One JSON line for each solver that was timed on standard output, and the table of them on standard error. Rank 0.
void print_solvers(const Communicator &communicator, const DriverOptions &options, const EigenBenchSettings &settings,
                   std::span<const SolverFindings> all);

}  // namespace flashring
