// Memory of a diffusion map: the points, the operator, the solver's basis, the vectors that come out. Three stretches
// compete for the peak: choosing the bandwidth, the solver with its basis, and the residual passes with the vectors
// that came out.
#include <petscmat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "flashring/block_krylov_schur.h"
#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/petsc_mat.hpp"
#include "solve/block_krylov_schur.hpp"

namespace flashring {
namespace {

/// Block of blockkrylovschur where that is asked for: as given, or the largest that it may choose; else 0.
std::int64_t block_size() {
  std::array<char, 64> type{};
  PetscInt block = 0;
  check_petsc(PetscOptionsGetString(nullptr, nullptr, "-eps_type", type.data(), type.size(), nullptr), "options");
  check_petsc(PetscOptionsGetInt(nullptr, nullptr, "-eps_blockkrylovschur_blocksize", &block, nullptr), "options");
  if (std::string_view(type.data()) != EPSBLOCKKRYLOVSCHUR) return 0;
  return block > 0 ? block : most_block_size;
}

/// Basis vectors that blockkrylovschur holds, two blocks beside: -eps_ncv, what follows from -eps_mpd, or its default
/// within the memory that it allows itself.
std::int64_t block_basis_size(std::int64_t rows, int pairs, std::int64_t block, double most) {
  PetscInt ncv = 0;
  PetscInt mpd = 0;
  check_petsc(PetscOptionsGetInt(nullptr, nullptr, "-eps_ncv", &ncv, nullptr), "options");
  check_petsc(PetscOptionsGetInt(nullptr, nullptr, "-eps_mpd", &mpd, nullptr), "options");
  const PetscInt columns = basis_columns(static_cast<PetscInt>(block), pairs, ncv, mpd, static_cast<PetscInt>(most));
  return std::min<std::int64_t>(rows, columns) + 2 * block;
}

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
  OperatorOptions resolved = options;
  resolved.ramp = block_size() > 0 ? choose_ramp(communicator, options, shape).value : "none";
  RunPlan plan = start_plan(communicator, resolved, shape);
  const int ranks = plan.ranks;
  const std::int64_t rows = (shape.rows + ranks - 1) / ranks;  // of the rank that has most
  const double vector = 8 * static_cast<double>(rows);
  const int block = residual_block(pairs);
  resolved.points_memory = plan.points_memory.value;
  OperatorOptions in_fp64 = resolved;
  in_fp64.precision = Precision::fp64;
  in_fp64.ramp = "none";
  const std::int64_t carried = std::max<std::int64_t>(1, block_size());
  const double budget = basis_bytes(options.memory, plan.room.bytes);
  const auto basis = static_cast<double>(
      block_size() > 0 ? block_basis_size(shape.rows, pairs, carried, std::min(1e9, budget / std::max(vector, 8.0)))
                       : basis_size(shape.rows, pairs));
  // One vector beyond the basis, a start vector and one to work with.
  PlanPhase solving{"solving", operator_memory(resolved, shape, ranks, static_cast<int>(carried), plan.exchange.value)};
  solving.memory.push_back({"basis of the solver", (basis + 3) * vector});
  PlanPhase measuring{"measuring residuals", operator_memory(in_fp64, shape, ranks, block, plan.exchange.value)};
  measuring.memory.push_back({"eigenvectors", pairs * vector});
  // The products or, later, pi, degree, weight and one to diagnose with.
  measuring.memory.push_back({"products", std::max(block, 4) * vector});
  // Code and tables of MPI, HDF5, OpenMP and BLAS that the program as started had not touched: measured, whatever N.
  for (PlanPhase *phase : {&solving, &measuring}) phase->memory.push_back({"libraries at work", 8e6});
  plan.phases = {{"reading", input_memory(options, shape, ranks)}, solving, measuring};
  return plan;
}

}  // namespace flashring
