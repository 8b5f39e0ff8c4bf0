// Memory of a diffusion map: the operator, the solver's basis, the vectors that come out. Two stretches compete for the
// peak: the solver with its basis, and the residual pass, whose columns and sums go round all at once.
#include <petscmat.h>

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/petsc_mat.hpp"

namespace flashring {
namespace {

/// Basis vectors that krylovschur holds: -eps_ncv, or SLEPc's default.
std::int64_t basis_size(std::int64_t rows, int pairs) {
  PetscInt ncv = 0;
  PetscInt mpd = 500;
  PetscBool given = PETSC_FALSE;
  check_petsc(PetscOptionsGetInt(nullptr, nullptr, "-eps_ncv", &ncv, &given), "options");
  if (given == PETSC_TRUE) return ncv;
  check_petsc(PetscOptionsGetInt(nullptr, nullptr, "-eps_mpd", &mpd, &given), "options");
  const std::int64_t count = pairs;
  return std::min(rows, given == PETSC_TRUE || pairs >= 500 ? count + mpd : std::max(2 * count, count + 15));
}

}  // namespace

RunPlan plan_diffusion_map(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                           int pairs) {
  communicator.agree([&] {
    FLASHRING_CHECK(shape.rows <= PETSC_MAX_INT, "-points: ", shape.rows, " points do not fit the ",
                    8 * sizeof(PetscInt), "-bit indices of this PETSc; use one with 64-bit indices");
  });
  RunPlan plan = start_plan(communicator, options, shape);
  const int ranks = plan.ranks;
  const std::int64_t rows = (shape.rows + ranks - 1) / ranks;  // of the rank that has most
  const double vector = 8 * static_cast<double>(rows);
  const int block = std::min(pairs, max_columns);
  const auto basis = static_cast<double>(basis_size(shape.rows, pairs));
  // One vector beyond the basis, a start vector, one to work with, and the two of a product.
  PlanPhase solving{"solving", operator_memory(options, shape, ranks, 1, plan.exchange.exchange)};
  solving.memory.push_back({"basis of the solver", (basis + 5) * vector});
  solving.memory.push_back({"eigenvectors", pairs * vector});
  // The vectors, and their products or, later, the left ones.
  PlanPhase measuring{"measuring residuals", operator_memory(options, shape, ranks, block, plan.exchange.exchange)};
  measuring.memory.push_back({"eigenvectors and products", (2.0 * pairs + 1) * vector});
  plan.phases = {solving, measuring};
  return plan;
}

}  // namespace flashring
