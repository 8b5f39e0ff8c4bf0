// GPUs by the CUDA runtime, which looks for the driver when it is first called: without one it says so.
#include <cuda_runtime_api.h>

#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "tile/cuda_answer.hpp"

namespace flashring {
namespace {

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
  CudaAnswer answer;
  const cudaError_t code = cudaGetDeviceCount(&answer.shown);
  cudaGetLastError();
  if (code == cudaErrorInsufficientDriver)
    answer.kind = CudaAnswer::Kind::old_driver;
  else if (code == cudaErrorNoDevice)
    answer.kind = CudaAnswer::Kind::no_device;
  else if (code != cudaSuccess)
    answer.kind = CudaAnswer::Kind::other_error;
  answer.error = cudaGetErrorString(code);
  cudaDriverGetVersion(&answer.driver);
  cudaRuntimeGetVersion(&answer.runtime);
  answer.usable = static_cast<int>(list_devices().size());
  return why_no_device(answer);
}

void use_device(int number) {
  const cudaError_t code = cudaSetDevice(number);
  FLASHRING_CHECK(code == cudaSuccess, "GPU ", number, " cannot be used: ", cudaGetErrorString(code),
                  "; look at nvidia-smi");
}

}  // namespace flashring
