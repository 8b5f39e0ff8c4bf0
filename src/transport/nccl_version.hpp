// Versions of NCCL: of the header that the transport was compiled with, of the library that runs, and of other ranks'.
#pragma once

#include <string>

#include "flashring/communicator.hpp"

namespace flashring {

/// 22809 is "2.28.9".
std::string nccl_version_text(int version);

/// Throws Error on every rank where the library of one rank does not serve what was compiled with `header`, or two
/// ranks have different ones: bytes on the wire belong to a version. `library`: of this rank, 0 where it cannot tell.
/// Collective.
void check_nccl_version(const Communicator &communicator, int library, int header);

}  // namespace flashring
