// The PETSc matrix type "flashring": a KernelOperator that every PETSc and SLEPc solver can use.
#pragma once

#include <petscmat.h>

#include <memory>

#include "flashring/kernel_operator.hpp"

#ifndef PETSC_SUCCESS /* named since 3.19 */
#define PETSC_SUCCESS 0
#endif

/// Name for MatSetType and -mat_type.
#define MATFLASHRING "flashring"

/// Registers the types of this library; PETSc calls it when -dll_append loads libflashring.so, programs that link the
/// library call it after PetscInitialize or SlepcInitialize. Calling it again is harmless. Fails when this PETSc
/// differs from the one the library was built for (version, index size, scalar type).
PETSC_EXTERN PetscErrorCode FlashringRegisterAll(void);
PETSC_EXTERN PetscErrorCode MatCreate_Flashring(Mat A);

namespace flashring {

/// A KernelOperator on a communicator of its own. Collective.
std::shared_ptr<KernelOperator> make_operator(MPI_Comm comm, const OperatorOptions &options, PointBlock points);

/// New matrix of type flashring that represents `op`, rows laid out as its points are. Collective on the operator's
/// communicator. Form kernel and symmetric are marked symmetric, markov is not.
PetscErrorCode mat_create(MPI_Comm comm, std::shared_ptr<KernelOperator> op, Mat *A);

/// The operator inside, shared by duplicates; null before MatSetUp. A represents scale * op + shift * I.
PetscErrorCode mat_get_operator(Mat A, std::shared_ptr<KernelOperator> *op);

/// Throws Error with the message of the failed PETSc call (or of the operator inside it) when `code` is not success.
void check_petsc(PetscErrorCode code, const char *what);

}  // namespace flashring
