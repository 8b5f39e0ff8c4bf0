// Committor: the chance to meet one set of points before another, and mean first-passage times.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "flashring/committor_results.hpp"
#include "flashring/kernel_operator.hpp"
#include "flashring/nystrom.hpp"
#include "flashring/plan.hpp"

namespace flashring {

struct CommittorRequest {
  std::vector<char> a, b;               ///< (local_rows), 1 for the rows of A and of B
  bool times = false;                   ///< mean first-passage times to B, too
  double tolerance = 1e-8;              ///< relative residual, measured in fp64
  int most_iterations = 10000;          ///< steps of conjugate gradients
  std::string preconditioner = "auto";  ///< diagonal, nystrom, or auto: by the steps that the first ones predict
  NystromOptions nystrom;               ///< landmarks of the coarse space
  std::function<void(int iterations, double residual)> progress;  ///< largest relative residual; may be empty
};

struct Committor {
  CommittorResults results;
  bool complete = false;  ///< every residual is at most the tolerance
  bool interrupted = false;
  std::string status;  ///< "converged" or why not, in words
};

/// Throws Error for an unknown word, a tolerance outside (0, 1), or less than one iteration.
void check_committor(const CommittorRequest &request);

/// Solves (I - P) q = 0 outside A and B, q = 0 on A, 1 on B, and where asked (I - P) t = 1 outside B, t = 0 on B, by
/// conjugate gradients on I - M with all columns in one product; formulas in docs/mathematics.md, "Committor". `op` has
/// form symmetric and neither a Doob transform nor a killed set; its stop function ends the solution at the x that
/// there is, and is taken away. Cost: an fp64 pass for the right sides, one for residuals in each cycle (one cycle in
/// fp64), one for rate and current; a pass of up to 64 columns where a coarse space is made; and one for each step.
/// Memory: 6 columns of N numbers for each system, and 2 k for each coarse space of k columns. Collective. Throws Error
/// for sets that are empty or overlap (the row is named), or leave no other point.
Committor committor(KernelOperator &op, const CommittorRequest &request);

/// Columns of all coarse spaces, at most: those of a pass.
inline constexpr int coarse_columns = 64;

/// What such a run takes of memory. Phases: reading, solving. Collective. Throws Error.
RunPlan plan_committor(const Communicator &communicator, const OperatorOptions &options, PointShape shape, bool times);

}  // namespace flashring
