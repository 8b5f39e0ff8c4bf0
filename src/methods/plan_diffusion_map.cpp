// Memory of a diffusion map: the points, the operator, the solver's basis, the vectors that come out. Four stretches
// compete for the peak: choosing the bandwidth, the landmarks of the start, the solver with its basis, and the residual
// passes with the vectors that came out.
#include <petscmat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "flashring/block_krylov_schur.h"
#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/neighbours.hpp"
#include "flashring/petsc_mat.hpp"
#include "solve/block_krylov_schur.hpp"
#include "solve/precision_ramp.hpp"

namespace flashring {
namespace {

PetscInt integer_option(const char *name, PetscInt otherwise) {
  check_petsc(PetscOptionsGetInt(nullptr, nullptr, name, &otherwise, nullptr), "options");
  return otherwise;
}

std::string solver_type() {
  std::array<char, 64> type{};
  PetscBool given = PETSC_FALSE;
  check_petsc(PetscOptionsGetString(nullptr, nullptr, "-eps_type", type.data(), type.size(), &given), "options");
  return given == PETSC_TRUE ? type.data() : EPSBLOCKKRYLOVSCHUR;
}

/// Basis vectors of SLEPc's Krylov solvers: -eps_ncv, or the default.
std::int64_t basis_size(std::int64_t rows, int pairs) {
  const std::int64_t ncv = integer_option("-eps_ncv", 0);
  if (ncv > 0) return ncv;
  const std::int64_t mpd = integer_option("-eps_mpd", 0);
  const std::int64_t count = pairs;
  if (mpd > 0) return std::min(rows, count + mpd);
  return std::min(rows, pairs >= 500 ? count + 500 : std::max(2 * count, count + 15));
}

/// What blockkrylovschur will multiply and hold.
struct BlockPlan {
  PetscInt columns = 0;    ///< of a block
  std::int64_t basis = 0;  ///< vectors, those beside the basis counted
};

BlockPlan plan_block(const Communicator &communicator, const OperatorOptions &options, const RunPlan &plan, double rows,
                     int pairs, bool measured) {
  const PetscInt most = columns_in(basis_bytes(options.memory, plan.room.bytes), rows);
  const PetscInt ncv = integer_option("-eps_ncv", 0);
  const auto n = static_cast<PetscInt>(plan.shape.rows);
  PetscInt block = integer_option("-eps_blockkrylovschur_blocksize", 0);
  if (block <= 0) {
    const auto seconds = [&](Precision precision, int columns) {
      return measure_pass(communicator, options, plan.shape, precision, columns);
    };
    const double one = measured ? seconds(Precision::fp64, 1) : 0;
    const ProductCosts costs{one, options.precision, plan.uses_device, [&](int columns) {
                               return mixed_seconds(precisions_of(options),
                                                    [&](Precision precision) { return seconds(precision, columns); });
                             }};
    block = fit_block(cheapest_block(costs, rows, pairs).columns, pairs, most);
    if (ncv >= 1) block = std::clamp<PetscInt>(ncv - pairs, 1, block);
  }
  block = std::min(block, n);
  const PetscInt basis = basis_columns(block, pairs, ncv, integer_option("-eps_mpd", 0), most);
  return {block, std::min(n, basis) + 2 * std::int64_t{block}};
}

/// Code and tables of MPI, HDF5, OpenMP and BLAS that the program as started had not touched: measured, whatever N.
MemoryPart libraries() { return {"libraries at work", 8e6}; }

/// The phase in which landmarks give the solver its first block, where they do.
void add_start(const OperatorOptions &in_fp64, const NystromOptions &nystrom, DiffusionMapPlan &plan) {
  std::vector<MemoryPart> parts = nystrom_memory(nystrom, in_fp64.pair, plan.shape, plan.ranks, plan.columns);
  if (parts.empty()) return;
  const auto of_operator = operator_memory(in_fp64, plan.shape, plan.ranks, plan.columns, plan.exchange.value);
  parts.insert(parts.begin(), of_operator.begin(), of_operator.end());
  parts.push_back(libraries());
  plan.phases.push_back({"starting", std::move(parts)});
}

}  // namespace

DiffusionMapPlan plan_diffusion_map(const Communicator &communicator, const OperatorOptions &options, PointShape shape,
                                    int pairs, const NystromOptions &nystrom, bool measured) {
  communicator.agree([&] {
    FLASHRING_CHECK(shape.rows <= PETSC_MAX_INT, "-points: ", shape.rows, " points do not fit the ",
                    8 * sizeof(PetscInt), "-bit indices of this PETSc; use one with 64-bit indices");
  });
  const std::string solver = solver_type();
  const bool in_blocks = solver == EPSBLOCKKRYLOVSCHUR;
  OperatorOptions resolved = options;
  resolved.ramp = in_blocks ? choose_ramp(communicator, options, shape).value : "none";
  DiffusionMapPlan plan{start_plan(communicator, resolved, shape), solver, 1};
  const int ranks = plan.ranks;
  const std::int64_t rows = (shape.rows + ranks - 1) / ranks;  // of the rank that has most
  const double vector = 8 * static_cast<double>(rows);
  const int block = residual_block(pairs);
  resolved.points_memory = plan.points_memory.value;
  OperatorOptions in_fp64 = resolved;
  in_fp64.precision = Precision::fp64;
  in_fp64.ramp = "none";
  const BlockPlan solved = in_blocks
                               ? plan_block(communicator, resolved, plan, static_cast<double>(rows), pairs, measured)
                               : BlockPlan{1, basis_size(shape.rows, pairs)};
  plan.columns = static_cast<int>(solved.columns);
  // One vector beyond the basis, a start vector and one to work with.
  PlanPhase solving{"solving", operator_memory(resolved, shape, ranks, plan.columns, plan.exchange.value)};
  solving.memory.push_back({"basis of the solver", (static_cast<double>(solved.basis) + 3) * vector});
  PlanPhase measuring{"measuring residuals", operator_memory(in_fp64, shape, ranks, block, plan.exchange.value)};
  measuring.memory.push_back({"eigenvectors", pairs * vector});
  // The products or, later, pi, degree, weight and one to diagnose with.
  measuring.memory.push_back({"products", std::max(block, 4) * vector});
  for (PlanPhase *phase : {&solving, &measuring}) phase->memory.push_back(libraries());
  plan.phases = {{"reading", input_memory(options, shape, ranks)}};
  if (needs_slope(options)) plan.phases.push_back(slope_phase(communicator, in_fp64, shape));
  if (point_scale(options.pair.kind) != PointScale::none)  // at most: they may be given
    plan.phases.push_back(tuning_phase(communicator, in_fp64, shape));
  if (in_blocks) add_start(in_fp64, nystrom, plan);
  plan.phases.insert(plan.phases.end(), {solving, measuring});
  return plan;
}

}  // namespace flashring
