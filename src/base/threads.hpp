// How many threads a rank uses.
#pragma once

#include <string>

#include "flashring/communicator.hpp"

namespace flashring {

/// `asked` > 0: that many. 0: cores in this process's affinity mask divided by the ranks that have the same mask on the
/// same machine. At least 1. Collective.
int choose_threads(int asked, const Communicator &communicator);

/// The ranks of the communicator on the machine of this one, or at the same place there.
struct RankOnMachine {
  std::string machine;
  int rank = 0;  ///< of this one, among them
  int ranks = 1;
};
/// `place`: what tells ranks of one machine apart, or empty. Collective.
RankOnMachine rank_on_machine(const Communicator &communicator, const std::string &place = {});

}  // namespace flashring
