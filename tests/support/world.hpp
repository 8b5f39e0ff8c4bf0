// What every test may ask of its surroundings: the communicator of all ranks, and a folder to write to.
#pragma once

#include <string>

#include "flashring/communicator.hpp"

namespace flashring::test {

/// All ranks of the run (one process in a build without MPI).
const Communicator &world();

/// A fresh empty folder below the system's temporary folder, the same on all ranks, removed at the end of the run.
/// Collective.
std::string scratch_folder(const std::string &name);

/// For the mains alone: sets the communicator of world(), takes it away, removes the scratch folders.
void set_world(const Communicator *communicator);
void remove_scratch_folders();

}  // namespace flashring::test
