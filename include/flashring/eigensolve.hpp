// Eigenpairs of a matrix by SLEPc, every option of SLEPc at the user's hand.
#pragma once

#include <petscmat.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace flashring {

/// What the solver reports after every step, for progress lines.
struct EigenProgress {
  int converged = 0;
  int wanted = 0;
  double largest_error = 0;  ///< relative error estimate of the first pair that is not converged
};

struct EigenRequest {
  int pairs = 10;           ///< K >= 1, at most N
  double tolerance = 1e-8;  ///< relative residual; -eps_tol overrides
  std::uint64_t seed = 1;   ///< key of the start vectors: normal random numbers, counter = global row, minor = column
  std::function<void(const EigenProgress &)> progress;  ///< may be empty
  std::function<void()> before_first_pass;              ///< called after all options were read, may throw
};

/// Leading eigenpairs, algebraically largest first.
struct EigenPairs {
  std::vector<double> values;   // (k), k <= pairs: those that converged
  std::vector<double> vectors;  // (local_rows, k) column-major, unit 2-norm
  bool complete = false;        ///< k == pairs
  std::string status;           ///< "converged" or SLEPc's reason in words
  double next_value = 0;        ///< estimate of the eigenvalue after the last one; NaN when not known
  int iterations = 0;
  std::string solver;  ///< EPS type used
};

/// Solves A v = lambda v for symmetric A. Default krylovschur; options -eps_*, -st_*, -bv_*, -ds_* are read.
/// Collective. Throws Error.
EigenPairs eigensolve(Mat A, const EigenRequest &request);

}  // namespace flashring
