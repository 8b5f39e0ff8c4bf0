// Moments of the work on a device, or of the host for the device that is none: what happened before what, and how long
// after it.
#pragma once

#include <vector>

#include "flashring/tile.hpp"

namespace flashring::test {

class Moments {
 public:
  explicit Moments(const Device *device);
  ~Moments();
  Moments(const Moments &) = delete;
  Moments &operator=(const Moments &) = delete;

  /// The moment at which the device has done what is queued so far; its number. Throws Error.
  int mark();
  /// Seconds from one moment to another, when the device is through with both.
  double seconds(int from, int to) const;

 private:
  void *queue_;                     // a cudaStream_t, null: the host's clock
  std::vector<void *> events_;      // cudaEvent_t
  std::vector<double> host_times_;  // seconds
};

}  // namespace flashring::test
