// The queue of a device: its stream, the first thing that went wrong on it, and the functions of the Device table.
#pragma once

#include "flashring/tile.hpp"
#include "sm80/path.hpp"

namespace flashring::sm80 {

/// For the device that is current when it is first used. The thread that calls must have that device as its current
/// one: programs choose devices, the library takes one.
const Device *device(Form form);

/// Doubles that slots take, of a call with this shape whatever its size.
std::size_t scratch_bytes(const TileShape &shape);

}  // namespace flashring::sm80
