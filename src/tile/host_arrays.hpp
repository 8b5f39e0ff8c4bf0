// Arrays of a caller where the host can read and write them.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "flashring/tile.hpp"

namespace flashring {

/// The caller's arrays themselves, or copies of those in the memory of a device, each made once.
class HostArrays {
 public:
  /// device: that has the caller's arrays; null: the host.
  explicit HostArrays(const Device *device) : device_(device) {}

  /// What lies in an array. Throws Error with what the device says.
  const void *in(const void *array, std::size_t bytes);
  /// Where to write what shall lie in an array after `give`.
  void *out(void *array, std::size_t bytes);
  /// Throws Error with what the device says.
  void give();
  double bytes_copied() const { return bytes_copied_; }

 private:
  struct Result {
    void *array;
    const std::vector<std::byte> *copy;
  };

  const Device *device_;
  std::deque<std::vector<std::byte>> copies_;  // which stay where they are
  std::vector<Result> results_;
  double bytes_copied_ = 0;
};

}  // namespace flashring
