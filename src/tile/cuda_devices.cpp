// GPUs by the CUDA runtime, which looks for the driver when it is first called: without one it says so.
#include <cuda_runtime_api.h>

#include "flashring/check.hpp"
#include "flashring/devices.hpp"

namespace flashring {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
  for (int number = 0; number < count; ++number) {
    cudaDeviceProp of{};
    if (cudaGetDeviceProperties(&of, number) != cudaSuccess) continue;
    devices.push_back({number, of.name, 10 * of.major + of.minor, of.totalGlobalMem});
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
  if (code == cudaSuccess && count > 0) return "";
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
