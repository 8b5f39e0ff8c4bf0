// How many threads a rank uses.
#pragma once

#include "flashring/communicator.hpp"

namespace flashring {

/// `asked` > 0: that many. 0: cores in this process's affinity mask divided by the ranks that have the same mask on the
/// same machine. At least 1. Collective.
int choose_threads(int asked, const Communicator &communicator);

/// Ranks of the communicator on the machine of this one. Collective.
int ranks_on_this_machine(const Communicator &communicator);

}  // namespace flashring
