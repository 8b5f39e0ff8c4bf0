// The matrix functions of flashring.h.
#include <petscmat.h>

#include <algorithm>
#include <cstring>

#include "flashring/carre_du_champ.hpp"
#include "flashring/flashring.h"
#include "flashring/version.hpp"
#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

/// The context, when A is of type flashring at all.
PetscErrorCode context_of(Mat A, MatContext **context) {
  PetscBool ours = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)A, MATFLASHRING, &ours));
  PetscCheck(ours, PetscObjectComm((PetscObject)A), PETSC_ERR_ARG_WRONG,
             "this matrix is not of type " MATFLASHRING "; make it by MatCreateFlashring or MatSetType");
  PetscCall(mat_context(A, context));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Rows of this rank, from what the program has said of sizes.
PetscErrorCode local_rows(Mat A, PetscInt *rows) {
  PetscLayout layout = nullptr;
  PetscInt N = 0;
  PetscFunctionBegin;
  PetscCall(MatGetLayouts(A, &layout, nullptr));
  PetscCall(PetscLayoutGetSize(layout, &N));
  PetscCall(PetscLayoutGetLocalSize(layout, rows));
  PetscCheck(N >= 0 || *rows >= 0, PetscObjectComm((PetscObject)A), PETSC_ERR_ORDER,
             "give the sizes by MatSetSizes() before points and weights");
  PetscCall(PetscLayoutSetUp(layout));
  PetscCall(PetscLayoutGetLocalSize(layout, rows));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// The operator, made now if need be.
PetscErrorCode operator_of(Mat A, KernelOperator **op) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(context_of(A, &context));
  if (context->op == nullptr) PetscCall(MatSetUp(A));
  *op = context->op.get();
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Throws Error unless what the program gave of every point is what the pair function reads. Collective.
void check_scales(const MatContext &context) {
  const PairFunction &pair = context.op->options().pair;
  context.op->communicator().agree([&] {
    FLASHRING_CHECK(context.point_scales.empty() || context.point_scale == point_scale(pair.kind), "-pair ",
                    to_string(pair), " reads ",
                    point_scale(pair.kind) == PointScale::covariance ? "covariances" : "no covariances",
                    " of points; give what it reads, or nothing");
  });
}

/// Solvers that keep what they derived from the entries look at the state, which an assembly counts up.
PetscErrorCode entries_changed(Mat A) {
  PetscFunctionBegin;
  PetscCall(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// (local_rows) numbers: kept until the operator is made, then given to it.
PetscErrorCode set_row_values(Mat A, const PetscReal numbers[], std::vector<double> MatContext::*kept,
                              void (KernelOperator::*update)(std::span<const double>)) {
  MatContext *context = nullptr;
  PetscInt rows = 0;
  PetscFunctionBegin;
  PetscCall(context_of(A, &context));
  PetscCall(local_rows(A, &rows));
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  const std::span<const double> values(numbers, static_cast<std::size_t>(rows));
  if (context->op == nullptr) {
    FLASHRING_GUARD(comm, (context->*kept).assign(values.begin(), values.end()));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  FLASHRING_GUARD(comm, ((*context->op).*update)(values));
  PetscCall(entries_changed(A));
  PetscFunctionReturn(PETSC_SUCCESS);
}

bool is_input(const char *name) {
  return std::any_of(input_options().begin(), input_options().end(),
                     [&](const Option &option) { return std::strcmp(option.name, name) == 0; });
}

void copy_vector(KernelOperator &op, FlashringVector which, PetscReal *out) {
  const auto copy = [out](std::span<const double> values) { std::copy(values.begin(), values.end(), out); };
  if (which == FLASHRING_DENSITY) return copy(op.density());
  if (which == FLASHRING_WEIGHT) return copy(op.weight());
  if (which == FLASHRING_DEGREE) return copy(op.degree());
  if (op.weighted()) return copy(op.measure());
  std::fill_n(out, op.local_rows(), 1.0);
}

}  // namespace
}  // namespace flashring

using flashring::KernelOperator;
using flashring::MatContext;

const char *FlashringVersion(void) { return flashring::version(); }

PetscErrorCode MatCreateFlashring(MPI_Comm comm, PetscInt local_rows, PetscInt features, const PetscReal coordinates[],
                                  Mat *A) {
  PetscFunctionBegin;
  PetscCheck(local_rows >= 0, PETSC_COMM_SELF, PETSC_ERR_ARG_OUTOFRANGE, "local_rows is %lld; give 0 or more",
             (long long)local_rows);
  PetscCall(FlashringRegisterAll());
  PetscCall(MatCreate(comm, A));
  PetscCall(MatSetSizes(*A, local_rows, local_rows, PETSC_DETERMINE, PETSC_DETERMINE));
  PetscCall(MatSetType(*A, MATFLASHRING));
  PetscCall(MatFlashringSetPoints(*A, features, coordinates));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringSetOption(Mat A, const char name[], const char value[]) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(flashring::context_of(A, &context));
  PetscCheck(context->op == nullptr, PetscObjectComm((PetscObject)A), PETSC_ERR_ORDER,
             "option %s: the matrix is set up and its options are fixed; set them before MatSetUp()", name);
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), {
    if (flashring::is_input(name))
      context->input.set(name, value);
    else
      context->options.set(name, value);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringSetPoints(Mat A, PetscInt features, const PetscReal coordinates[]) {
  MatContext *context = nullptr;
  PetscInt rows = 0;
  PetscFunctionBegin;
  PetscCall(flashring::context_of(A, &context));
  PetscCall(flashring::local_rows(A, &rows));
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscCheck(features >= 1 && features <= INT_MAX, comm, PETSC_ERR_ARG_OUTOFRANGE,
             "points have %lld features; at least 1 is needed", (long long)features);
  const std::span<const double> values(coordinates,
                                       static_cast<std::size_t>(rows) * static_cast<std::size_t>(features));
  if (context->op == nullptr) {
    context->features = static_cast<int>(features);
    FLASHRING_GUARD(comm, context->coordinates.assign(values.begin(), values.end()));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  FLASHRING_GUARD(comm, {
    const int present = context->op->feature_map().given();
    context->op->communicator().agree([&] {
      FLASHRING_CHECK(features == present, "points have ", features, " features and had ", present,
                      " before; the shape must stay, make another matrix");
    });
    flashring::check_scales(*context);
    context->op->update_points(values, context->point_scales);
    context->point_scales = {};
  });
  PetscCall(flashring::entries_changed(A));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringSetPointScales(Mat A, const PetscReal scales[]) {
  MatContext *context = nullptr;
  PetscInt rows = 0;
  PetscFunctionBegin;
  PetscCall(flashring::context_of(A, &context));
  PetscCall(flashring::local_rows(A, &rows));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), {
    context->point_scales.assign(scales, scales + rows);
    context->point_scale = flashring::PointScale::length;
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringSetPointCovariances(Mat A, PetscInt features, const PetscReal covariances[]) {
  MatContext *context = nullptr;
  PetscInt rows = 0;
  PetscFunctionBegin;
  PetscCall(flashring::context_of(A, &context));
  PetscCall(flashring::local_rows(A, &rows));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), {
    context->point_scales = flashring::triangles_of(rows, features, covariances);
    context->point_scale = flashring::PointScale::covariance;
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringSetWeights(Mat A, const PetscReal weights[]) {
  PetscFunctionBegin;
  PetscCall(flashring::set_row_values(A, weights, &MatContext::weights, &KernelOperator::update_measure));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringSetTarget(Mat A, const PetscReal target[]) {
  PetscFunctionBegin;
  PetscCall(flashring::set_row_values(A, target, &MatContext::target, &KernelOperator::update_target));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringSetDoob(Mat A, const PetscReal h[]) {
  flashring::KernelOperator *op = nullptr;
  PetscFunctionBegin;
  PetscCall(flashring::operator_of(A, &op));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), op->transform({h, static_cast<std::size_t>(op->local_rows())}));
  PetscCall(flashring::entries_changed(A));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringKillOutside(Mat A, const PetscBool inside[]) {
  flashring::KernelOperator *op = nullptr;
  PetscFunctionBegin;
  PetscCall(flashring::operator_of(A, &op));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), {
    std::vector<char> flags;
    for (std::int64_t i = 0; i < op->local_rows(); ++i) flags.push_back(inside[i] == PETSC_TRUE ? 1 : 0);
    op->kill_outside(flags);
  });
  PetscCall(flashring::entries_changed(A));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringGetVector(Mat A, FlashringVector which, PetscReal out[]) {
  KernelOperator *op = nullptr;
  PetscFunctionBegin;
  PetscCall(flashring::operator_of(A, &op));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), flashring::copy_vector(*op, which, out));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringCarreDuChamp(Mat A, PetscInt functions, const PetscReal f[], PetscReal gamma[]) {
  KernelOperator *op = nullptr;
  PetscFunctionBegin;
  PetscCall(flashring::operator_of(A, &op));
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscCheck(functions >= 1 && functions <= 10000, comm, PETSC_ERR_ARG_OUTOFRANGE,
             "carre du champ of %lld functions; give 1 to 10000", (long long)functions);
  FLASHRING_GUARD(comm, {
    const std::vector<double> found =
        flashring::CarreDuChamp(*op).apply(f, op->local_rows(), static_cast<int>(functions));
    std::copy(found.begin(), found.end(), gamma);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode MatFlashringGetCounters(Mat A, PetscInt64 *calls, PetscInt64 *passes, PetscInt64 *column_passes) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(flashring::context_of(A, &context));
  const flashring::Counters counters = context->op == nullptr ? flashring::Counters() : context->op->counters();
  if (calls != nullptr) *calls = counters.calls;
  if (passes != nullptr) *passes = counters.passes;
  if (column_passes != nullptr) *column_passes = counters.column_passes;
  PetscFunctionReturn(PETSC_SUCCESS);
}
