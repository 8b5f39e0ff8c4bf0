// What flashring.h asks of points alone: neighbours, and the slope of the kernel sum.
#include <petscsys.h>

#include <algorithm>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/flashring.h"
#include "flashring/neighbours.hpp"
#include "flashring/slope.hpp"
#include "petsc/mat_context.hpp"

namespace flashring {
namespace {

/// Points of this rank, as a program holds them.
PointBlock block_of(const Communicator &communicator, const char *what, std::int64_t rows, int features,
                    const PetscReal coordinates[]) {
  communicator.agree([&] { FLASHRING_CHECK(rows >= 0, what, ": ", rows, " of them; give 0 or more"); });
  std::vector<std::int64_t> counts(static_cast<std::size_t>(communicator.size()), 0);
  counts[static_cast<std::size_t>(communicator.rank())] = rows;
  communicator.sum(std::span<std::int64_t>(counts));
  PointBlock block;
  communicator.agree([&] {
    block = PointBlock(RowPartition::from_counts(counts), communicator.rank(), features,
                       {coordinates, coordinates + rows * features});
  });
  return block;
}

void copy_out(const Neighbours &found, PetscReal distances[], PetscInt64 indices[]) {
  if (distances != nullptr) std::copy(found.distances.begin(), found.distances.end(), distances);
  if (indices != nullptr) std::copy(found.rows.begin(), found.rows.end(), indices);
}

}  // namespace
}  // namespace flashring

PetscErrorCode FlashringNearestNeighbours(MPI_Comm comm, PetscInt local_rows, PetscInt features,
                                          const PetscReal coordinates[], PetscInt k, PetscReal distances[],
                                          PetscInt64 indices[]) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    const auto communicator = flashring::make_mpi_communicator(comm);
    flashring::PointBlock points =
        flashring::block_of(*communicator, "points", local_rows, static_cast<int>(features), coordinates);
    flashring::copy_out(flashring::nearest_neighbours(*communicator, {}, std::move(points), static_cast<int>(k)),
                        distances, indices);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringNearestPoints(MPI_Comm comm, PetscInt query_rows, const PetscReal queries[],
                                      PetscInt local_rows, PetscInt features, const PetscReal coordinates[], PetscInt k,
                                      PetscReal distances[], PetscInt64 indices[]) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    const auto communicator = flashring::make_mpi_communicator(comm);
    flashring::PointBlock asking =
        flashring::block_of(*communicator, "queries", query_rows, static_cast<int>(features), queries);
    flashring::PointBlock points =
        flashring::block_of(*communicator, "points", local_rows, static_cast<int>(features), coordinates);
    flashring::copy_out(
        flashring::nearest_points(*communicator, {}, std::move(asking), std::move(points), static_cast<int>(k)),
        distances, indices);
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode FlashringSlopeBandwidth(MPI_Comm comm, PetscInt local_rows, PetscInt features,
                                       const PetscReal coordinates[], PetscReal *beta, PetscReal *dimension,
                                       PetscBool *at_edge) {
  PetscFunctionBegin;
  FLASHRING_GUARD(comm, {
    const auto communicator = flashring::make_mpi_communicator(comm);
    const flashring::PointBlock points =
        flashring::block_of(*communicator, "points", local_rows, static_cast<int>(features), coordinates);
    const flashring::SlopeCurve curve =
        flashring::slope_curve(*communicator, {}, points, flashring::slope_grid(*communicator, {}, points));
    if (beta != nullptr) *beta = curve.beta;
    if (dimension != nullptr) *dimension = curve.dimension();
    if (at_edge != nullptr) *at_edge = curve.at_edge ? PETSC_TRUE : PETSC_FALSE;
  });
  PetscFunctionReturn(PETSC_SUCCESS);
}
