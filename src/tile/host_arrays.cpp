#include "tile/host_arrays.hpp"

#include "flashring/buffer.hpp"

namespace flashring {

const void *HostArrays::in(const void *array, std::size_t bytes) {
  if (device_ == nullptr) return array;
  std::vector<std::byte> &copy = copies_.emplace_back(bytes);
  device_->download(copy.data(), static_cast<const std::byte *>(array), bytes);
  wait_for(device_);
  bytes_copied_ += static_cast<double>(bytes);
  return copy.data();
}

void *HostArrays::out(void *array, std::size_t bytes) {
  if (device_ == nullptr) return array;
  std::vector<std::byte> &copy = copies_.emplace_back(bytes);
  results_.push_back({array, &copy});
  return copy.data();
}

void HostArrays::give() {
  for (const Result &result : results_) {
    device_->upload(static_cast<std::byte *>(result.array), result.copy->data(), result.copy->size());
    bytes_copied_ += static_cast<double>(result.copy->size());
  }
  results_.clear();
  wait_for(device_);
}

}  // namespace flashring
