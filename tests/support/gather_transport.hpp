// A transport for the host's memory over nothing but a communicator's gather: every exchange brings all messages of all
// ranks to everybody. For tests of what stands above a transport, where there is neither MPI nor NCCL. Ranks must start
// the same exchanges in the same order, which the ring does.
#pragma once

#include <memory>

#include "flashring/transport.hpp"

namespace flashring::test {

/// With `device` the messages are in its memory, as make_transport has it.
std::unique_ptr<Transport> make_gather_transport(const Communicator &communicator, const Device *device);

/// Ends the process with `exit_code` when exchange number `last` (from 0) is to start: a peer that is lost in mid-run.
std::unique_ptr<Transport> make_leaving_transport(std::unique_ptr<Transport> inner, int last, int exit_code);

}  // namespace flashring::test
