// Operations of the matrix type: products, diagonal, scale and shift, duplicate, view.
#include <petscdevice.h>
#include <petscmat.h>

#include <sstream>
#include <string>
#include <vector>

#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

PetscErrorCode guarded_apply(Mat A, KernelOperator &op, const double *x, PetscInt ldx, double *y, PetscInt ldy,
                             int columns, bool transpose, bool on_device) {
  PetscFunctionBegin;
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), op.apply(x, ldx, y, ldy, columns, transpose, on_device));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// y = scale op(x) + shift x for a block of columns, with its log event and flops; y = op(x) on a device.
PetscErrorCode apply(Mat A, const PetscScalar *x, PetscInt ldx, PetscScalar *y, PetscInt ldy, PetscInt columns,
                     bool transpose, bool on_device = false) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  PetscCheck(context->op != nullptr, PetscObjectComm((PetscObject)A), PETSC_ERR_ORDER, "call MatSetUp() first");
  KernelOperator &op = *context->op;
  PetscCall(PetscLogEventBegin(pass_event(), A, 0, 0, 0));
  const double pairs_before = op.counters().ring.pairs;
  PetscCall(PetscLogEventBegin(pairs_event(), A, 0, 0, 0));
  const PetscErrorCode code = guarded_apply(A, op, x, ldx, y, ldy, static_cast<int>(columns), transpose, on_device);
  const double pairs = op.counters().ring.pairs - pairs_before;
  PetscCall(PetscLogFlops(pairs));
  PetscCall(PetscLogEventEnd(pairs_event(), A, 0, 0, 0));
  if (code != PETSC_SUCCESS) PetscCall(PetscLogEventEnd(pass_event(), A, 0, 0, 0));
  PetscCall(code);
  const std::int64_t rows = op.local_rows();
  if (!on_device && (context->scale != 1 || context->shift != 0))
    for (std::int64_t c = 0; c < columns; ++c)
      for (std::int64_t i = 0; i < rows; ++i)
        y[c * ldy + i] = context->scale * y[c * ldy + i] + context->shift * x[c * ldx + i];
  const TileShape shape{
      op.options().pair, RowKind::sum, 0, op.options().precision, op.features(), static_cast<int>(columns), {}};
  const double flops = find_backend(op.options().backend).cost(shape, Sides::both).flops();
  PetscCall(PetscLogFlops((flops - 1) * pairs));  // one flop a pair stands under the inner event
  PetscCall(PetscLogEventEnd(pass_event(), A, 0, 0, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Vectors that lie in the memory of the GPU that the tiles are in are used there; `done` says whether they do.
PetscErrorCode mult_on_device(Mat A, Vec x, Vec y, bool transpose, bool *done) {
  const PetscScalar *in = nullptr;
  PetscScalar *out = nullptr;
  PetscMemType in_place = PETSC_MEMTYPE_HOST;
  PetscMemType out_place = PETSC_MEMTYPE_HOST;
  PetscDeviceContext queue = nullptr;
  PetscInt n = 0;
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  *done = false;
  if (context->op == nullptr) PetscFunctionReturn(PETSC_SUCCESS);
  const Device *device = nullptr;
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), device = find_backend(context->op->options().backend).device);
  if (device == nullptr) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecGetLocalSize(x, &n));
  PetscCall(VecGetArrayReadAndMemType(x, &in, &in_place));
  PetscCall(VecGetArrayWriteAndMemType(y, &out, &out_place));
  PetscErrorCode code = PETSC_SUCCESS;
  if (PetscMemTypeCUDA(in_place) && PetscMemTypeCUDA(out_place)) {
    *done = true;
    PetscCall(PetscDeviceContextGetCurrentContext(&queue));
    PetscCall(PetscDeviceContextSynchronize(queue));  // what PETSc queued for x is there before our queue reads it
    code = apply(A, in, n, out, n, 1, transpose, true);
  }
  PetscCall(VecRestoreArrayWriteAndMemType(y, &out));
  PetscCall(VecRestoreArrayReadAndMemType(x, &in));
  PetscCall(code);
  if (*done && (context->scale != 1 || context->shift != 0)) PetscCall(VecAXPBY(y, context->shift, context->scale, x));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mult_vector(Mat A, Vec x, Vec y, bool transpose) {
  bool done = false;
  const PetscScalar *in = nullptr;
  PetscScalar *out = nullptr;
  PetscInt n = 0;
  PetscFunctionBegin;
  PetscCall(mult_on_device(A, x, y, transpose, &done));
  if (done) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(VecGetLocalSize(x, &n));
  PetscCall(VecGetArrayRead(x, &in));
  PetscCall(VecGetArrayWrite(y, &out));
  const PetscErrorCode code = apply(A, in, n, out, n, 1, transpose);  // an interruption must not leave vectors locked
  PetscCall(VecRestoreArrayWrite(y, &out));
  PetscCall(VecRestoreArrayRead(x, &in));
  PetscCall(code);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mult(Mat A, Vec x, Vec y) { return mult_vector(A, x, y, false); }

PetscErrorCode mult_transpose(Mat A, Vec x, Vec y) { return mult_vector(A, x, y, true); }

PetscErrorCode mult_add(Mat A, Vec x, Vec add, Vec y) {
  Vec product = nullptr;
  PetscFunctionBegin;
  PetscCall(VecDuplicate(y, &product));
  PetscCall(mult(A, x, product));
  if (add == y)
    PetscCall(VecAXPY(y, 1, product));
  else
    PetscCall(VecWAXPY(y, 1, product, add));
  PetscCall(VecDestroy(&product));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mult_dense(Mat A, Mat B, Mat C, bool transpose) {
  const PetscScalar *in = nullptr;
  PetscScalar *out = nullptr;
  PetscInt columns = 0;
  PetscInt rows = 0;
  PetscInt ldb = 0;
  PetscInt ldc = 0;
  PetscFunctionBegin;
  PetscCall(MatGetSize(B, nullptr, &columns));
  PetscCall(MatGetLocalSize(B, &rows, nullptr));
  PetscCheck(columns == 0 || rows <= PETSC_MAX_INT / columns, PetscObjectComm((PetscObject)A), PETSC_ERR_ARG_OUTOFRANGE,
             "a block of %lld local rows and %lld columns does not fit PetscInt; use fewer columns or 64-bit indices",
             (long long)rows, (long long)columns);
  PetscCall(MatDenseGetLDA(B, &ldb));
  PetscCall(MatDenseGetLDA(C, &ldc));
  PetscCall(MatDenseGetArrayRead(B, &in));
  PetscCall(MatDenseGetArrayWrite(C, &out));
  const PetscErrorCode code = apply(A, in, ldb, out, ldc, columns, transpose);
  PetscCall(MatDenseRestoreArrayWrite(C, &out));
  PetscCall(MatDenseRestoreArrayRead(B, &in));
  PetscCall(code);
  PetscCall(MatAssemblyBegin(C, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(C, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product(Mat A, Mat B, Mat C, void * /*context*/) { return mult_dense(A, B, C, false); }

PetscErrorCode product_transpose(Mat A, Mat B, Mat C, void * /*context*/) { return mult_dense(A, B, C, true); }

PetscErrorCode get_diagonal(Mat A, Vec diagonal) {
  MatContext *context = nullptr;
  PetscScalar *out = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  const auto rows = static_cast<std::size_t>(context->op->local_rows());
  PetscCall(VecGetArrayWrite(diagonal, &out));
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), context->op->diagonal({out, rows}));
  for (std::size_t i = 0; i < rows; ++i) out[i] = context->scale * out[i] + context->shift;
  PetscCall(VecRestoreArrayWrite(diagonal, &out));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode scale(Mat A, PetscScalar factor) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  context->scale *= factor;
  context->shift *= factor;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shift(Mat A, PetscScalar amount) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  context->shift += amount;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/// Shares the operator, copies scale and shift: a later shift of the duplicate must not touch the original.
PetscErrorCode duplicate(Mat A, MatDuplicateOption /*option*/, Mat *B) {
  MatContext *from = nullptr;
  MatContext *to = nullptr;
  PetscInt m = 0;
  PetscInt n = 0;
  PetscInt M = 0;
  PetscInt N = 0;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &from));
  PetscCall(MatGetLocalSize(A, &m, &n));
  PetscCall(MatGetSize(A, &M, &N));
  PetscCall(MatCreate(PetscObjectComm((PetscObject)A), B));
  PetscCall(MatSetSizes(*B, m, n, M, N));
  PetscCall(MatSetType(*B, MATFLASHRING));
  PetscCall(mat_context(*B, &to));
  *to = *from;
  PetscCall(MatSetUp(*B));
  PetscCall(MatAssemblyBegin(*B, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(*B, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode view(Mat A, PetscViewer viewer) {
  MatContext *context = nullptr;
  PetscBool ascii = PETSC_FALSE;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  PetscCall(PetscObjectTypeCompare((PetscObject)viewer, PETSCVIEWERASCII, &ascii));
  if (!ascii || context->op == nullptr) PetscFunctionReturn(PETSC_SUCCESS);
  const KernelOperator &op = *context->op;
  const OperatorOptions &options = op.options();
  const Backend &backend = find_backend(options.backend);
  FLASHRING_GUARD(PetscObjectComm((PetscObject)A), {
    std::istringstream lines(build_description());
    for (std::string line; std::getline(lines, line);)
      PetscCall(PetscViewerASCIIPrintf(viewer, "  %s\n", line.c_str()));
  });
  PetscCall(PetscViewerASCIIPrintf(viewer, "  pair %s, form %s, alpha %g\n", to_string(options.pair).c_str(),
                                   to_string(options.form), options.alpha));
  PetscCall(PetscViewerASCIIPrintf(
      viewer, "  %lld points with %d features, precision %s, backend %s (%s), threads %d\n", (long long)op.rows(),
      op.features(), to_string(options.precision), backend.name, backend.target, options.threads));
  PetscCall(
      PetscViewerASCIIPrintf(viewer, "  exchange %s (%s)\n", options.exchange.c_str(), op.exchange_reason().c_str()));
  if (backend.device != nullptr)
    PetscCall(PetscViewerASCIIPrintf(viewer, "  points in the memory of the %s (%s)\n", options.points_memory.c_str(),
                                     op.points_memory_reason().c_str()));
  PetscCall(PetscViewerASCIIPrintf(viewer, "  scale %g, shift %g\n", (double)context->scale, (double)context->shift));
  PetscCall(PetscViewerASCIIPrintf(viewer,
                                   "  calls %lld, passes %lld, column passes %lld, pairs %g on the first rank\n",
                                   (long long)op.counters().calls, (long long)op.counters().passes,
                                   (long long)op.counters().column_passes, op.counters().ring.pairs));
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace

PetscErrorCode mat_install_operations(Mat A) {
  PetscFunctionBegin;
  PetscCall(MatShellSetOperation(A, MATOP_MULT, FLASHRING_OPERATION(mult)));
  PetscCall(MatShellSetOperation(A, MATOP_MULT_TRANSPOSE, FLASHRING_OPERATION(mult_transpose)));
  PetscCall(MatShellSetOperation(A, MATOP_MULT_ADD, FLASHRING_OPERATION(mult_add)));
  PetscCall(MatShellSetOperation(A, MATOP_GET_DIAGONAL, FLASHRING_OPERATION(get_diagonal)));
  PetscCall(MatShellSetOperation(A, MATOP_SCALE, FLASHRING_OPERATION(scale)));
  PetscCall(MatShellSetOperation(A, MATOP_SHIFT, FLASHRING_OPERATION(shift)));
  PetscCall(MatShellSetOperation(A, MATOP_DUPLICATE, FLASHRING_OPERATION(duplicate)));
  PetscCall(MatShellSetOperation(A, MATOP_SET_FROM_OPTIONS, FLASHRING_OPERATION(mat_set_from_options)));
  PetscCall(MatShellSetOperation(A, MATOP_SETUP, FLASHRING_OPERATION(mat_set_up)));
  PetscCall(MatShellSetOperation(A, MATOP_VIEW, FLASHRING_OPERATION(view)));
  PetscCall(MatShellSetMatProductOperation(A, MATPRODUCT_AB, nullptr, product, nullptr, MATDENSE, MATDENSE));
  PetscCall(MatShellSetMatProductOperation(A, MATPRODUCT_AtB, nullptr, product_transpose, nullptr, MATDENSE, MATDENSE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace flashring
