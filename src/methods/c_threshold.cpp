// Threshold families on rows of scores, of flashring.h.
#include <petscsys.h>

#include <algorithm>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/flashring.h"
#include "flashring/threshold_rows.hpp"
#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

/// A text that may be NULL.
std::string text_of(const char text[], const char *otherwise) { return text == nullptr ? otherwise : text; }

ThresholdRows make_rows(const Communicator &communicator, const char op[], PetscReal parameter, const char scale[],
                        RowsShape shape, PetscMemType memory) {
  ThresholdRowsOptions options;
  options.op = text_of(op, "diffmax");
  options.family_scale = text_of(scale, "tsallis");
  options.parameters = {parameter};
  options.memory = PetscMemTypeHost(memory) ? MemorySpace::host : MemorySpace::device;
  return {communicator, shape, options};
}

}  // namespace
}  // namespace flashring

PetscErrorCode FlashringThresholdRows(MPI_Comm comm, const char op[], PetscReal parameter, const char scale[],
                                      PetscInt outer, PetscInt n, PetscInt inner, PetscMemType memory,
                                      const PetscReal scores[], PetscReal weights[], PetscReal row_maximum[],
                                      PetscReal t[]) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    const auto communicator = flashring::make_mpi_communicator(comm);
    flashring::ThresholdRows rows =
        flashring::make_rows(*communicator, op, parameter, scale, {outer, n, inner}, memory);
    const flashring::ThresholdSaved saved = rows.forward(scores, flashring::Storage::fp64, weights);
    if (row_maximum != nullptr) std::copy(saved.row_maximum.begin(), saved.row_maximum.end(), row_maximum);
    if (t != nullptr) std::copy(saved.t.begin(), saved.t.end(), t);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringThresholdRowsGradient(MPI_Comm comm, const char op[], PetscReal parameter, const char scale[],
                                              PetscInt outer, PetscInt n, PetscInt inner, PetscMemType memory,
                                              const PetscReal scores[], const PetscReal row_maximum[],
                                              const PetscReal t[], const PetscReal g[], PetscReal of_scores[],
                                              PetscReal *of_parameter) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    const auto communicator = flashring::make_mpi_communicator(comm);
    flashring::ThresholdRows rows =
        flashring::make_rows(*communicator, op, parameter, scale, {outer, n, inner}, memory);
    const auto count = static_cast<std::size_t>(outer) * static_cast<std::size_t>(inner);
    const flashring::ThresholdSaved saved{{row_maximum, row_maximum + count}, {t, t + count}};
    const std::vector<double> slope = rows.backward(scores, saved, g, flashring::Storage::fp64, of_scores);
    if (of_parameter != nullptr) *of_parameter = slope.empty() ? 0 : slope.front();
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}
