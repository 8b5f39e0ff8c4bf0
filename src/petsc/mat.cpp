// The matrix type: made as a shell, renamed, then given its operations (the order matters: MATSHELL composes the name
// of a block product from the type's name at the time of registration).
#include <petscmat.h>

#include <array>

#include "flashring/communicator_mpi.hpp"
#include "flashring/neighbours.hpp"
#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

/// The operator together with the communicator that it refers to.
struct OwnedOperator {
  OwnedOperator(std::unique_ptr<Communicator> own, const OperatorOptions &options, PointBlock points)
      : communicator(std::move(own)), op(*communicator, options, std::move(points)) {}
  std::unique_ptr<Communicator> communicator;
  KernelOperator op;
};

PetscErrorCode destroy(FLASHRING_DESTROY_ARGUMENT pointer) {
  delete static_cast<MatContext *>(FLASHRING_DESTROYED(pointer));
  return PETSC_SUCCESS;
}

std::shared_ptr<KernelOperator> own_operator(std::unique_ptr<Communicator> communicator, const OperatorOptions &options,
                                             PointBlock points) {
  auto owned = std::make_shared<OwnedOperator>(std::move(communicator), options, std::move(points));
  return {owned, &owned->op};
}

}  // namespace

std::shared_ptr<KernelOperator> make_operator(MPI_Comm comm, const OperatorOptions &options, PointBlock points) {
  return own_operator(make_mpi_communicator(comm), options, std::move(points));
}

std::shared_ptr<KernelOperator> make_operator(MPI_Comm comm, const OperatorOptions &options, Input input) {
  std::unique_ptr<Communicator> communicator = make_mpi_communicator(comm);
  if (!input.search.made) input.search = tune_point_scales(*communicator, options, input.points);
  std::shared_ptr<KernelOperator> op = own_operator(std::move(communicator), options, std::move(input.points));
  if (input.search.made) op->count_neighbours(input.search.report);
  // A rank without rows has empty vectors, given or not.
  std::array<double, 2> given{input.weights.empty() ? 0.0 : 1.0, input.target.empty() ? 0.0 : 1.0};
  op->communicator().max(std::span<double>(given));
  if (given[0] > 0) op->update_measure(input.weights);
  if (given[1] > 0) op->update_target(input.target);
  return op;
}

PetscErrorCode mat_context(Mat A, MatContext **context) {
  PetscFunctionBegin;
  PetscCall(MatShellGetContext(A, context));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mat_get_operator(Mat A, std::shared_ptr<KernelOperator> *op) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCall(mat_context(A, &context));
  *op = context->op;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mat_create(MPI_Comm comm, std::shared_ptr<KernelOperator> op, Mat *A) {
  MatContext *context = nullptr;
  PetscFunctionBegin;
  PetscCheck(op->rows() <= PETSC_MAX_INT && op->local_rows() <= PETSC_MAX_INT, comm, PETSC_ERR_ARG_OUTOFRANGE,
             "%lld rows do not fit PetscInt (at most %lld); use a PETSc with 64-bit indices", (long long)op->rows(),
             (long long)PETSC_MAX_INT);
  const RowPartition &partition = op->partition();
  std::int64_t next = 0;
  for (int r = 0; r < partition.ranks(); ++r)
    for (const RowRange &range : partition.ranges(r)) {
      PetscCheck(range.begin.value == next, comm, PETSC_ERR_ARG_WRONG, "PETSc wants rows in the order of ranks");
      next += range.count;
    }
  const auto local = static_cast<PetscInt>(op->local_rows());
  const auto rows = static_cast<PetscInt>(op->rows());
  PetscCall(FlashringRegisterAll());
  PetscCall(MatCreate(comm, A));
  PetscCall(MatSetSizes(*A, local, local, rows, rows));
  PetscCall(MatSetType(*A, MATFLASHRING));
  PetscCall(mat_context(*A, &context));
  context->options = op->options();
  context->op = std::move(op);
  PetscCall(MatSetUp(*A));
  PetscCall(MatAssemblyBegin(*A, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(*A, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(PETSC_SUCCESS);
}

}  // namespace flashring

PetscErrorCode MatCreate_Flashring(Mat A) {
  PetscFunctionBegin;
  auto *context = new flashring::MatContext;
  PetscCall(MatSetType(A, MATSHELL));
  PetscCall(MatShellSetContext(A, context));
  PetscCall(MatShellSetContextDestroy(A, flashring::destroy));
  PetscCall(MatShellSetManageScalingShifts(A));
  PetscCall(PetscObjectChangeTypeName((PetscObject)A, MATFLASHRING));
  PetscCall(flashring::mat_install_operations(A));
  PetscFunctionReturn(PETSC_SUCCESS);
}
