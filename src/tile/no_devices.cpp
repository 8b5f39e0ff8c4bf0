// A build without CUDA has no GPUs.
#include "flashring/check.hpp"
#include "flashring/devices.hpp"

namespace flashring {

std::vector<DeviceInfo> list_devices() { return {}; }

std::string why_no_device() { return "this build has no CUDA (FLASHRING_WITH_CUDA)"; }

void use_device(int number) { throw Error(detail::concatenate("GPU ", number, " cannot be used: ", why_no_device())); }

}  // namespace flashring
