// Sweeps: diffusion maps of the same points for lists of beta and alpha, each solved from the one before it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flashring/kernel_operator.hpp"
#include "flashring/nystrom.hpp"
#include "flashring/plan.hpp"

namespace flashring {

/// One map of a sweep.
struct SweepPoint {
  std::string beta, alpha;  ///< as they stand in the lists; empty where there is no such list
  std::string folder;       ///< where its files go, below that of the sweep: beta_0.5_alpha_1
};

/// The maps of all combinations in the order in which they are solved: beta as listed, and alpha forwards and backwards
/// in turn, so that one value alone differs from the map before. Lists are numbers with commas between; an empty one
/// varies nothing, and two give no map. Throws Error that names list, place and value for what beta and alpha cannot
/// be, and for a value that stands there twice.
std::vector<SweepPoint> sweep_points(std::string_view beta_list, std::string_view alpha_list);

/// What a solved map leaves to the one after it: eigenfunctions to start from, and the density D = K m, which serves as
/// long as the pair function is the same. It takes K + 1 vectors of memory between two operators (plan_neighbour).
class Neighbour {
 public:
  /// The density of `op`, whose map is solved. Collective.
  void remember(KernelOperator &op);
  /// The eigenfunctions psi of that map: `right` (local_rows, pairs) column-major, of converged pairs.
  void remember(std::vector<double> right, int pairs);

  /// Gives `op` the density where it has the same pair function; one set-up pass is left then. Throws Error when its
  /// points or their measure are others. Collective.
  void prepare(KernelOperator &op);
  bool has_start() const { return pairs_ > 0; }
  /// For EigenRequest::start: (m d)^(1/2) o psi with the degree d of `op`, whose first column is exact, and vectors of
  /// nystrom_start where a block has more columns. The psi are given up. Collective. Throws Error, Interrupted.
  std::vector<double> start(KernelOperator &op, const NystromOptions &nystrom, int columns);

 private:
  std::string identity_;  // of points and measure
  std::string pair_;      // of the density
  std::vector<double> density_, right_;
  int pairs_ = 0;
};

/// Adds to `plan` what a Neighbour of so many pairs holds while the next points are read.
void plan_neighbour(RunPlan &plan, int pairs);

}  // namespace flashring
