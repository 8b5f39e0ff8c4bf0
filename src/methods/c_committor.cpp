// The committor of flashring.h.
#include <petscmat.h>

#include <algorithm>

#include "flashring/check.hpp"
#include "flashring/committor.hpp"
#include "flashring/flashring.h"
#include "petsc/mat_context.hpp"

PetscErrorCode MatFlashringCommittor(Mat A, const PetscBool in_a[], const PetscBool in_b[], PetscReal tolerance,
                                     PetscReal q[], PetscReal t[], PetscReal *rate, PetscReal *residual,
                                     PetscBool *converged) {
  std::shared_ptr<flashring::KernelOperator> op;
  flashring::Committor found;
  flashring::MatContext *context = nullptr;
  PetscBool ours = PETSC_FALSE;
  const MPI_Comm comm = PetscObjectComm((PetscObject)A);
  PetscFunctionBegin;
  PetscCall(PetscObjectTypeCompare((PetscObject)A, MATFLASHRING, &ours));
  PetscCheck(ours, comm, PETSC_ERR_ARG_WRONG, "a committor needs a matrix of type " MATFLASHRING);
  PetscCall(MatSetUp(A));
  PetscCall(flashring::mat_get_operator(A, &op));
  PetscCall(flashring::mat_context(A, &context));
  PetscCheck(context->scale == 1 && context->shift == 0, comm, PETSC_ERR_ARG_WRONGSTATE,
             "a committor needs the operator itself, not one that MatScale or MatShift changed");
  PetscCheck(op->options().form == flashring::Form::symmetric && !op->transformed() && !op->killed(), comm,
             PETSC_ERR_ARG_WRONGSTATE, "a committor needs form symmetric, without a Doob transform or a killed set");
  FLASHRING_GUARD(comm, {
    flashring::CommittorRequest request;
    for (std::int64_t i = 0; i < op->local_rows(); ++i) {
      request.a.push_back(in_a[i] == PETSC_TRUE ? 1 : 0);
      request.b.push_back(in_b[i] == PETSC_TRUE ? 1 : 0);
    }
    request.times = op->communicator().max(t != nullptr ? 1.0 : 0.0) > 0;  // a rank without rows may have no array
    request.tolerance = tolerance;
    request.nystrom.seed = op->options().seed;
    found = flashring::committor(*op, request);
    if (converged == nullptr && !found.complete) throw flashring::Error(found.status, true);
  });
  const flashring::CommittorResults &results = found.results;
  std::copy(results.committor.begin(), results.committor.end(), q);
  if (t != nullptr) std::copy(results.first_passage.begin(), results.first_passage.end(), t);
  if (rate != nullptr) *rate = results.rate;
  if (residual != nullptr) *residual = std::max(results.committor_residual, results.first_passage_residual);
  if (converged != nullptr) *converged = found.complete ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}
