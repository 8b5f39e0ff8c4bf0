// Memory that this process uses, and how much more it can have.
#pragma once

#include <string>

#include "flashring/communicator.hpp"

namespace flashring {

/// How much more memory a rank can have, and what sets the limit: "the machine", "its control group" or "ulimit -v".
struct MemoryRoom {
  double bytes = 0;  ///< of the rank that has least
  std::string limit;
};

/// The least of what the machine (or its control group) has free, shared evenly by the ranks on it, and what this
/// process may still map. Collective; the same on every rank.
MemoryRoom memory_room(const Communicator &communicator);

/// Resident memory of this process now, bytes.
double resident_bytes();

}  // namespace flashring
