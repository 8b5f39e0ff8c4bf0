// How many threads a rank uses.
#pragma once

#include "flashring/communicator.hpp"

namespace flashring {

/// `asked` > 0: that many. 0: cores in this process's affinity mask divided by the ranks that share the machine when
/// the mask is the whole machine; a rank that the launcher bound to cores of its own uses all of them. At least 1.
int choose_threads(int asked, const Communicator &communicator);

}  // namespace flashring
