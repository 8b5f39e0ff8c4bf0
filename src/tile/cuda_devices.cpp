// GPUs by the CUDA runtime, which looks for the driver when it is first called: without one it says so.
#include <cuda_runtime_api.h>

#include "flashring/check.hpp"
#include "flashring/devices.hpp"

namespace flashring {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string uuid_text(const cudaUUID_t &uuid) {
  std::string text;
  for (const char byte : uuid.bytes) {
    constexpr const char *digits = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    text += digits[value / 16];
    text += digits[value % 16];
  }
  return text;
}

/// Of the oldest GPU that has a backend, sm80.
constexpr int least_capability = 80;

}  // namespace

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
  for (int number = 0; number < count; ++number) {
    cudaDeviceProp of{};
    if (cudaGetDeviceProperties(&of, number) != cudaSuccess) continue;
    const int capability = 10 * of.major + of.minor;
    if (capability >= least_capability) devices.push_back({number, of.name, uuid_text(of.uuid), capability});
  }
  cudaGetLastError();  // asked and answered
  return devices;
}

std::string why_no_device() {
  int count = 0;
  int driver = 0;
  int runtime = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  cudaGetLastError();
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (code == cudaSuccess && count > 0)
    return list_devices().empty() ? "the GPUs here are older than compute capability 8.0" : "";
  if (driver == 0) return "no GPU driver is installed";
  if (code == cudaErrorInsufficientDriver)
    return detail::concatenate("the GPU driver knows CUDA ", version_text(driver), ", this build needs ",
                               version_text(runtime), ": install a newer driver");
  if (code == cudaErrorNoDevice || count == 0)
    return "the driver shows no GPU to this process (look at nvidia-smi and CUDA_VISIBLE_DEVICES)";
  return detail::concatenate("the GPU driver says: ", cudaGetErrorString(code));
}

void use_device(int number) {
  const cudaError_t code = cudaSetDevice(number);
  FLASHRING_CHECK(code == cudaSuccess, "GPU ", number, " cannot be used: ", cudaGetErrorString(code),
                  "; look at nvidia-smi");
}

}  // namespace flashring
