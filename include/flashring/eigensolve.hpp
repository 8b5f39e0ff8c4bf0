// Eigenpairs of a matrix by SLEPc, every option of SLEPc at the user's hand.
#pragma once

#include <petscmat.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "flashring/types.hpp"

namespace flashring {

/// What the solver reports after every step, for progress lines.
struct EigenProgress {
  int converged = 0;
  int wanted = 0;
  double largest_error = 0;  ///< relative error estimate of the first pair that is not converged
  double last_error = std::numeric_limits<double>::quiet_NaN();  ///< the same of the last wanted one; NaN: none yet
  double tolerance = 0;                                          ///< at which pairs count as converged
};

struct EigenRequest {
  int pairs = 10;           ///< K >= 1, at most N
  double tolerance = 1e-8;  ///< relative residual; -eps_tol overrides
  std::uint64_t seed = 1;   ///< key of the start vectors: normal random numbers, counter = global row, minor = column
  std::string prefix;       ///< of SLEPc's options: -[prefix]eps_tol
  std::function<void(const EigenProgress &)> progress;  ///< may be empty
  std::function<void()> before_first_pass;              ///< called after all options were read, may throw
  /// Files of blockkrylovschur (include/flashring/block_krylov_schur.h): where its state goes every so many seconds and
  /// at an interruption, and what it goes on from; empty: neither. Error for other solvers.
  std::string checkpoint, restart;
  double checkpoint_every = 600;
  /// Approximate eigenvectors for blockkrylovschur to start from, best ones first: (local_rows, k) column-major of any
  /// length, or none. It is called with the columns of a block, which k may exceed: further vectors are added to the
  /// first ones in turn. Called once, collectively, after before_first_pass. May be empty.
  std::function<std::vector<double>(int)> start;
};

/// Relative residual that a working precision can reach: 1e-8; in fp32 1e-6, as its sums carry about 1e-7 of
/// noise; in reduced 1e-4.
double default_tolerance(Precision precision);

/// Leading eigenpairs, algebraically largest first.
struct EigenPairs {
  std::vector<double> values;   // (k), k <= pairs: those that converged
  std::vector<double> vectors;  // (local_rows, k) column-major, unit 2-norm
  bool complete = false;        ///< k == pairs
  bool interrupted = false;     ///< ended by KernelOperator::set_stop: the pairs that had converged by then
  std::string status;           ///< "converged" or SLEPc's reason in words
  double next_value =
      std::numeric_limits<double>::quiet_NaN();  ///< estimate of the eigenvalue after the last one; NaN when not known
  double tolerance = 0;                          ///< relative residual asked for, -eps_tol included
  int iterations = 0;
  std::vector<std::string> findings;  ///< in words: checkpoints that could not be written, a damaged one passed over
  std::string solver;                 ///< EPS type used
};

/// Solves A v = lambda v for symmetric A. Default blockkrylovschur; options -eps_*, -st_*, -bv_*, -ds_* are read.
/// Collective. Throws Error, and Interrupted when not one pair has converged by then.
EigenPairs eigensolve(Mat A, const EigenRequest &request);

}  // namespace flashring
