// The diffusion map of flashring.h.
#include <petscmat.h>
#include <slepcsys.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <utility>

#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/extend.hpp"
#include "flashring/flashring.h"
#include "flashring/metric.hpp"
#include "petsc/mat_context.hpp"

struct FlashringMap_ {
  Mat matrix = nullptr;
  flashring::DiffusionMapRequest request;
  int pairs = 0;  // 0: not given
  bool tolerance_given = false;
  flashring::DiffusionMap map;
  std::uint64_t fingerprint = 0;     // of the points that were solved for
  std::vector<double> point_scales;  // of new points, for the next extension
};

namespace flashring {
namespace {

PetscErrorCode check_pair(FlashringMap map, PetscInt k) {
  PetscFunctionBegin;
  PetscCheck(k >= 0 && k < map->map.results.pairs, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE,
             "pair %lld of %d that converged: ask FlashringMapGetConverged how many there are", (long long)k,
             map->map.results.pairs);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Right eigenvector k of the last solution.
PetscErrorCode copy_right(FlashringMap map, PetscInt k, PetscReal out[]) {
  const Results &results = map->map.results;
  PetscFunctionBegin;
  PetscCall(check_pair(map, k));
  const std::size_t rows = results.pi.size();
  std::copy_n(results.right.begin() + static_cast<std::ptrdiff_t>(rows * static_cast<std::size_t>(k)), rows, out);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// The operator of the points that were solved for.
PetscErrorCode operator_of_solution(FlashringMap map, std::shared_ptr<KernelOperator> *op) {
  const MPI_Comm comm = PetscObjectComm((PetscObject)map->matrix);
  PetscFunctionBegin;
  PetscCheck(!map->map.status.empty(), comm, PETSC_ERR_ORDER, "call FlashringMapSolve before the map is used");
  PetscCall(mat_get_operator(map->matrix, op));
  PetscCheck((*op)->fingerprint() == map->fingerprint, comm, PETSC_ERR_ORDER,
             "the points have moved since FlashringMapSolve; call it again before the map is used");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// New points of this rank, as a program holds them.
PointBlock block_of(const KernelOperator &op, std::int64_t rows, const PetscReal coordinates[],
                    std::vector<double> point_scales) {
  const Communicator &communicator = op.communicator();
  communicator.agree([&] { FLASHRING_CHECK(rows >= 0, "new points: ", rows, " of them; give 0 or more"); });
  std::vector<std::int64_t> counts(static_cast<std::size_t>(communicator.size()), 0);
  counts[static_cast<std::size_t>(communicator.rank())] = rows;
  communicator.sum(std::span<std::int64_t>(counts));
  PointBlock block;
  communicator.agree([&] {
    const int given = op.feature_map().given();
    block = PointBlock(RowPartition::from_counts(counts), communicator.rank(), given,
                       {coordinates, coordinates + rows * given});
    block.map_features(op.feature_map());
    const std::span<const double> scales = op.feature_scales();
    if (!scales.empty()) block.set_feature_scales({scales.begin(), scales.end()});
    if (!point_scales.empty()) block.set_point_scales(std::move(point_scales), point_scale(op.options().pair.kind));
  });
  return block;
}

}  // namespace
}  // namespace flashring

PetscErrorCode FlashringMapCreate(Mat A, FlashringMap *map) {
  PetscBool ours = PETSC_FALSE;
  PetscBool started = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)A, MATFLASHRING, &ours));
  PetscCheck(ours, PetscObjectComm((PetscObject)A), PETSC_ERR_ARG_WRONG,
             "a diffusion map needs a matrix of type " MATFLASHRING);
  PetscCall(SlepcInitialized(&started));
  PetscCheck(started, PetscObjectComm((PetscObject)A), PETSC_ERR_ORDER,
             "a diffusion map uses SLEPc; call SlepcInitialize() instead of, or after, PetscInitialize()");
  PetscCall(PetscObjectReference((PetscObject)A));
  *map = new FlashringMap_;
  (*map)->matrix = A;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapDestroy(FlashringMap *map) {
  PetscFunctionBegin;
  if (*map == nullptr) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(MatDestroy(&(*map)->matrix));
  delete *map;
  *map = nullptr;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapSetPairs(FlashringMap map, PetscInt pairs) {
  PetscFunctionBegin;
  PetscCheck(pairs >= 1 && pairs <= INT_MAX, PetscObjectComm((PetscObject)map->matrix), PETSC_ERR_ARG_OUTOFRANGE,
             "%lld pairs; give 1 to the number of points", (long long)pairs);
  map->pairs = static_cast<int>(pairs);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapSetTolerance(FlashringMap map, PetscReal tolerance) {
  PetscFunctionBegin;
  PetscCheck(std::isfinite(tolerance) && tolerance > 0, PetscObjectComm((PetscObject)map->matrix),
             PETSC_ERR_ARG_OUTOFRANGE, "tolerance %g is not a positive number", (double)tolerance);
  map->request.eigen.tolerance = tolerance;
  map->tolerance_given = true;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapSetOptionsPrefix(FlashringMap map, const char prefix[]) {
  PetscFunctionBegin;
  map->request.eigen.prefix = prefix == nullptr ? "" : prefix;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapSolve(FlashringMap map) {
  std::shared_ptr<flashring::KernelOperator> op;
  flashring::MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(MatSetUp(map->matrix));
  PetscCall(flashring::mat_get_operator(map->matrix, &op));
  const MPI_Comm comm = PetscObjectComm((PetscObject)map->matrix);
  PetscCheck(op->options().form == flashring::Form::symmetric, comm, PETSC_ERR_ARG_WRONGSTATE,
             "a diffusion map needs form symmetric; set it by MatFlashringSetOption(A, \"form\", \"symmetric\")");
  PetscCall(flashring::mat_context(map->matrix, &context));
  PetscCheck(context->scale == 1 && context->shift == 0, comm, PETSC_ERR_ARG_WRONGSTATE,
             "a diffusion map needs the operator itself, not one that MatScale or MatShift changed");
  map->request.eigen.pairs = map->pairs > 0 ? map->pairs : static_cast<int>(std::min<std::int64_t>(10, op->rows()));
  if (!map->tolerance_given) map->request.eigen.tolerance = flashring::default_tolerance(op->options().precision);
  map->request.eigen.seed = op->options().seed;
  FLASHRING_GUARD(comm, map->map = flashring::diffusion_map(map->matrix, *op, map->request));
  map->fingerprint = op->fingerprint();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapGetConverged(FlashringMap map, PetscInt *pairs, const char **status) {
  PetscFunctionBegin;
  if (pairs != nullptr) *pairs = map->map.results.pairs;
  if (status != nullptr) *status = map->map.status.empty() ? "not solved yet" : map->map.status.c_str();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapGetEigenvalue(FlashringMap map, PetscInt k, PetscReal *value, PetscReal *residual) {
  const flashring::Results &results = map->map.results;
  PetscFunctionBegin;
  PetscCall(flashring::check_pair(map, k));
  if (value != nullptr) *value = results.eigenvalues[static_cast<std::size_t>(k)];
  if (residual != nullptr) *residual = results.residuals[static_cast<std::size_t>(k)];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapGetRight(FlashringMap map, PetscInt k, PetscReal out[]) {
  PetscFunctionBegin;
  PetscCall(flashring::copy_right(map, k, out));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapGetLeft(FlashringMap map, PetscInt k, PetscReal out[]) {
  PetscFunctionBegin;
  PetscCall(flashring::copy_right(map, k, out));
  for (const double mass : map->map.results.pi) *out++ *= mass;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapGetStationaryLaw(FlashringMap map, PetscReal out[]) {
  PetscFunctionBegin;
  PetscCheck(!map->map.status.empty(), PetscObjectComm((PetscObject)map->matrix), PETSC_ERR_ORDER,
             "call FlashringMapSolve before the stationary law is read");
  std::copy(map->map.results.pi.begin(), map->map.results.pi.end(), out);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapSetNewPointScales(FlashringMap map, PetscInt new_rows, const PetscReal scales[]) {
  const MPI_Comm comm = PetscObjectComm((PetscObject)map->matrix);
  PetscFunctionBegin;
  PetscCheck(new_rows >= 0, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "new_rows is %lld; give 0 or more",
             (long long)new_rows);
  FLASHRING_GUARD(comm, map->point_scales.assign(scales, scales + new_rows));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapSetNewPointCovariances(FlashringMap map, PetscInt new_rows, PetscInt features,
                                                  const PetscReal covariances[]) {
  PetscFunctionBegin;
  FLASHRING_GUARD(PetscObjectComm((PetscObject)map->matrix),
                  map->point_scales = flashring::triangles_of(new_rows, features, covariances));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapGetMetric(FlashringMap map, PetscInt rank, PetscReal eigenvalues[], PetscReal metric[],
                                     PetscReal dimension[]) {
  std::shared_ptr<flashring::KernelOperator> op;
  flashring::Metric found;
  PetscFunctionBegin;
  PetscCall(flashring::operator_of_solution(map, &op));
  const int asked = static_cast<int>(std::clamp<PetscInt>(rank, INT_MIN, INT_MAX));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)map->matrix), found = flashring::metric(*op, map->map.results, asked));
  if (eigenvalues != nullptr) std::copy(found.eigenvalues.begin(), found.eigenvalues.end(), eigenvalues);
  if (metric != nullptr) std::copy(found.inverse.begin(), found.inverse.end(), metric);
  if (dimension != nullptr) std::copy(found.dimension.begin(), found.dimension.end(), dimension);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringMapExtend(FlashringMap map, PetscInt new_rows, const PetscReal coordinates[], PetscReal right[],
                                  PetscReal log_density[], PetscBool far[]) {
  std::shared_ptr<flashring::KernelOperator> op;
  flashring::ExtendedRows rows;
  const MPI_Comm comm = PetscObjectComm((PetscObject)map->matrix);
  PetscFunctionBegin;
  PetscCall(flashring::operator_of_solution(map, &op));
  FLASHRING_GUARD(comm, {
    const flashring::PointBlock points =
        flashring::block_of(*op, new_rows, coordinates, std::exchange(map->point_scales, {}));
    rows = flashring::Extension(*op, map->map.results).apply(points);
  });
  std::copy(rows.right.begin(), rows.right.end(), right);
  if (log_density != nullptr) std::copy(rows.log_density.begin(), rows.log_density.end(), log_density);
  for (std::size_t i = 0; far != nullptr && i < rows.far.size(); ++i)
    far[i] = rows.far[i] > 0 ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}
