// The MPI Communicator; apart, so that a build without MPI never sees mpi.h.
#pragma once

#include <mpi.h>

#include <memory>

#include "flashring/communicator.hpp"

namespace flashring {

/// Works on a private duplicate of `comm`, freed with the object. MPI must be initialised and outlive it. A rank that
/// failed waits `patience_seconds` at most until the others hear of it (Communicator::any); all other words wait for as
/// long as it takes, since under MPI a rank that is lost ends the job.
std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, double patience_seconds = 600);

/// The duplicate inside a communicator made above; MPI_COMM_NULL for any other kind.
MPI_Comm mpi_comm(const Communicator &communicator);

}  // namespace flashring
