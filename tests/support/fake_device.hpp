// A device that is none: its memory has addresses that the host cannot touch, and nothing that is queued happens before
// somebody waits for it. Whoever forgets a copy or a wait crashes or finds other numbers.
#pragma once

#include <string>

#include "flashring/tile.hpp"

namespace flashring::test {

/// Tiles of `ref` on that device.
const Backend &fake_device();
/// The next wait tells of this failure.
void fail_next_wait(const char *message);
/// Bytes of the device that are taken at this moment.
std::size_t fake_device_bytes();
/// How many there are in all; without bound until said.
void set_fake_device_room(std::size_t bytes);

/// "device" is the one above; other names are found as usual.
const Backend &backend_named(const std::string &name);

}  // namespace flashring::test
