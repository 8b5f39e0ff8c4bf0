#include "tile/cuda_answer.hpp"

#include "flashring/check.hpp"

namespace flashring {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::string why_no_device(const CudaAnswer &answer) {
  using Kind = CudaAnswer::Kind;
  if (answer.kind == Kind::told && answer.shown > 0)
    return answer.usable > 0 ? "" : "the GPUs here are older than compute capability 8.0";
  if (answer.driver == 0) return "no GPU driver is installed";
  if (answer.kind == Kind::old_driver)
    return detail::concatenate("the GPU driver knows CUDA ", version_text(answer.driver), ", this build needs ",
                               version_text(answer.runtime), ": install a newer driver");
  if (answer.kind == Kind::no_device || answer.shown == 0)
    return "the driver shows no GPU to this process (look at nvidia-smi and CUDA_VISIBLE_DEVICES)";
  return "the GPU driver says: " + answer.error;
}

}  // namespace flashring
