#include "gpu/moments.hpp"

#include <cuda_runtime_api.h>

#include <chrono>

#include "flashring/check.hpp"

namespace flashring::test {
namespace {

void check(cudaError_t code) { FLASHRING_CHECK(code == cudaSuccess, "events of the GPU: ", cudaGetErrorString(code)); }

}  // namespace

Moments::Moments(const Device *device) : queue_(device == nullptr ? nullptr : device->queue()) {}

Moments::~Moments() {
  for (void *event : events_) cudaEventDestroy(static_cast<cudaEvent_t>(event));
}

int Moments::mark() {
  if (queue_ == nullptr) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    host_times_.push_back(std::chrono::duration<double>(now).count());
    return static_cast<int>(host_times_.size()) - 1;
  }
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event));
  events_.push_back(event);
  check(cudaEventRecord(event, static_cast<cudaStream_t>(queue_)));
  return static_cast<int>(events_.size()) - 1;
}

double Moments::seconds(int from, int to) const {
  const auto at = [](const auto &list, int number) { return list.at(static_cast<std::size_t>(number)); };
  if (queue_ == nullptr) return at(host_times_, to) - at(host_times_, from);
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(at(events_, from)),
                             static_cast<cudaEvent_t>(at(events_, to))));
  return 1e-3 * static_cast<double>(milliseconds);
}

}  // namespace flashring::test
