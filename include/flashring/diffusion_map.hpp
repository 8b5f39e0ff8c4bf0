// Diffusion maps: eigenpairs of the Markov operator with residuals, signs, laws and diagnoses.
#pragma once

#include <petscmat.h>

#include <memory>
#include <string>
#include <vector>

#include "flashring/eigensolve.hpp"
#include "flashring/kernel_operator.hpp"
#include "flashring/nystrom.hpp"
#include "flashring/plan.hpp"
#include "flashring/results.hpp"

namespace flashring {

struct DiffusionMapRequest {
  EigenRequest eigen;      ///< where eigen.start is empty, it becomes the Nystrom start
  NystromOptions nystrom;  ///< what blockkrylovschur starts from
  double time = 1;         ///< diffusion time t >= 0 of the embedding
};

/// Throws Error unless t is a finite number of at least 0, and whole where eigenvalues may be negative: these have no
/// other powers.
void check_time(const PairFunction &pair, double time);

struct DiffusionMap {
  Results results;
  bool complete = false;
  bool interrupted = false;  ///< results hold the pairs that had converged when the user asked for the end
  std::string status;
  std::string solver;
};

/// The map of docs/mathematics.md, "Diffusion map", for the points of `op`, which must have form symmetric. One that is
/// killed outside a set is transformed by its Perron vector (docs/mathematics.md, "Doob transform"), which takes one
/// pass more; rows outside have pi = 0 and psi = 0, and `op` is the transformed operator afterwards. `A` is a
/// matrix that represents `op`; a stop function of `op` is asked while solving and then taken away. Cost: the solver's
/// passes, and one fp64 pass per 8 pairs for the residuals. Collective. Throws Error, and Interrupted when the user
/// asked for the end before one pair had converged.
DiffusionMap diffusion_map(Mat A, KernelOperator &op, const DiffusionMapRequest &request);

struct DiffusionMapPlan : RunPlan {
  std::string solver;  ///< EPS type
  int columns = 1;     ///< of its passes
};

/// What such a map will take of memory with the solver, block and size of basis that SLEPc's options ask for. Phases:
/// reading, starting (with landmarks), solving, measuring. A block that is not given is the usual one, which the solver
/// falls back on where memory is short; with `measured` it is the one that the solver would choose, where that takes
/// some 20 ms for each size. Collective. Throws Error.
DiffusionMapPlan plan_diffusion_map(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                                    int pairs, const NystromOptions &nystrom, bool measured = false);

/// Sign rule: the entry of largest magnitude of every column is positive; among entries within `tie` (relative) of it
/// the one of lowest global row decides. columns: (local_rows, K), tie: (K). Collective.
void fix_signs(const KernelOperator &op, std::span<const double> tie, std::vector<double> &columns);

/// Columns of a pass that measures residuals, at most: few, so that this takes no more memory than solving did.
inline constexpr int residual_columns = 16;
/// Passes for the residuals of so many pairs, and the columns of each of them but the last.
constexpr int residual_passes(int pairs) { return (pairs + residual_columns - 1) / residual_columns; }
constexpr int residual_block(int pairs) {
  return pairs == 0 ? 0 : (pairs + residual_passes(pairs) - 1) / residual_passes(pairs);
}

/// Residuals |M v - lambda v| of unit vectors in fp64, (K). Collective.
std::vector<double> residuals(KernelOperator &op, std::span<const double> values, const std::vector<double> &vectors);

/// Findings in words: isolated points, disconnected graph, bandwidth too wide or too narrow, neighbours, a cut through
/// equal eigenvalues. `next_value`: estimate of the first eigenvalue not computed, or NaN. Collective.
std::vector<std::string> diagnose(KernelOperator &op, const Results &results, double next_value);

}  // namespace flashring
