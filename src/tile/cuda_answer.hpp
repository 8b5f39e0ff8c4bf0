// What the CUDA runtime tells when it is asked for GPUs, and what that means to a user.
#pragma once

#include <string>

namespace flashring {

struct CudaAnswer {
  enum class Kind { told, old_driver, no_device, other_error };
  Kind kind = Kind::told;
  std::string error;  ///< in the runtime's words
  int driver = 0;     ///< newest CUDA that the driver knows, 1000 major + 10 minor; 0 without a driver
  int runtime = 0;    ///< CUDA of this build, in the same way
  int shown = 0;      ///< GPUs that this process is shown
  int usable = 0;     ///< of these, GPUs that have a backend
};

/// Why no GPU can be used, as part of a sentence; empty where one can.
std::string why_no_device(const CudaAnswer &answer);

}  // namespace flashring
