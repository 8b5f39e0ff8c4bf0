// The PETSc matrix type "flashring": a KernelOperator that every PETSc and SLEPc solver can use.
#pragma once

#include <petscmat.h>

#include <memory>
#include <string>

#include "flashring/flashring.h"
#include "flashring/input.hpp"
#include "flashring/kernel_operator.hpp"

#ifndef PETSC_SUCCESS /* named since 3.19 */
#define PETSC_SUCCESS 0
#endif

/// What MatSetType(A, MATFLASHRING) calls.
PETSC_EXTERN PetscErrorCode MatCreate_Flashring(Mat A);

namespace flashring {

/// A KernelOperator on a communicator of its own. Collective.
std::shared_ptr<KernelOperator> make_operator(MPI_Comm comm, const OperatorOptions &options, PointBlock points);
/// The same with the weights and the target density of the input, and with lengths by options.knn where it has none.
std::shared_ptr<KernelOperator> make_operator(MPI_Comm comm, const OperatorOptions &options, Input input);

/// New matrix of type flashring that represents `op`, rows laid out as its points are. Collective on the operator's
/// communicator. Form kernel and symmetric are marked symmetric, markov is not.
PetscErrorCode mat_create(MPI_Comm comm, std::shared_ptr<KernelOperator> op, Mat *A);

/// The operator inside, shared by duplicates; null before MatSetUp. A represents scale * op + shift * I.
PetscErrorCode mat_get_operator(Mat A, std::shared_ptr<KernelOperator> *op);

/// When `code` is not success: throws again what the operator threw inside the failed PETSc call, or an Error with
/// PETSc's message.
void check_petsc(PetscErrorCode code, const char *what);

/// Several lines, each ended: version and commit, PETSc and SLEPc with index size and scalars, MPI, HDF5, compiler,
/// backends with the instruction set each would use here, transports. Not collective; also before PetscInitialize.
std::string build_description();

}  // namespace flashring
