// Rows of scores on GPUs of compute capability 8.0 and later: launches of the bodies in row_steps.hpp, queued where
// the copies of backend sm80 are.
#include <string>

#include "sm80/primitives.hpp"
#include "sm80/queue.hpp"
#include "sm80/row_steps.hpp"
#include "sm80/shared_memory.hpp"

namespace flashring::sm80 {
namespace {

template <class T>
__global__ void __launch_bounds__(long_row_threads, 1) weigh_kernel(const ThresholdCall call, const RowCut cut) {
  extern __shared__ std::byte shared_rows[];
  DeviceThread thread(shared_rows);
  weigh_rows<T>(thread, call, cut);
}

template <class T>
__global__ void __launch_bounds__(long_row_threads, 1)
    differentiate_kernel(const ThresholdCall call, const RowCut cut) {
  extern __shared__ std::byte shared_rows[];
  DeviceThread thread(shared_rows);
  differentiate_rows<T>(thread, call, cut);
}

__global__ void __launch_bounds__(row_threads) add_parts_kernel(const ThresholdCall call, const RowCut cut) {
  extern __shared__ std::byte shared_rows[];
  DeviceThread thread(shared_rows);
  add_parts(thread, call, cut);
}

/// What a block of the device may have at most.
std::size_t most_shared_bytes() {
  static const std::size_t most = [] {
    int number = 0;
    int bytes = 0;
    note_error(cudaGetDevice(&number), "asking for the device");
    note_error(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, number),
               "asking for the device");
    return static_cast<std::size_t>(bytes);
  }();
  return most;
}

bool is_whole(ThresholdStep step, Storage storage, std::int64_t n) {
  return is_whole_row(step, storage, n, most_shared_bytes());
}

template <auto kernel, class T>
void launch(const ThresholdCall &call, const RowCut &cut) {
  const std::int64_t groups = cut.threads / cut.width;
  const auto blocks = static_cast<unsigned>((call.rows * cut.parts + groups - 1) / groups);
  const auto stream = static_cast<cudaStream_t>(device(Variant::chosen)->queue());
  note_error(give_shared_memory<kernel>(), "asking for shared memory");
  kernel<<<blocks, static_cast<unsigned>(cut.threads), row_shared_bytes(call.step, cut, sizeof(T)), stream>>>(call,
                                                                                                              cut);
  note_error(cudaGetLastError(), "working on rows of scores");
  if (cut.parts == 1) return;
  add_parts_kernel<<<static_cast<unsigned>(call.rows), row_threads, row_threads / 32 * sizeof(ThresholdSums), stream>>>(
      call, cut);
  note_error(cudaGetLastError(), "adding parts of rows of scores");
}

template <class T>
void run_in(const ThresholdCall &call) {
  const RowCut cut = cut_rows(call.step, call.n);
  if (reads_gradient(call.step))
    launch<differentiate_kernel<T>, T>(call, cut);
  else
    launch<weigh_kernel<T>, T>(call, cut);
}

void run(const ThresholdCall &call) { call.storage == Storage::fp64 ? run_in<double>(call) : run_in<float>(call); }

}  // namespace

const ThresholdBackend *open_threshold(const char *ceiling) {
  static const int found = capability();
  static const std::string target = "sm_" + std::to_string(found);
  static const ThresholdDevice of_rows = {device(Variant::chosen), is_whole, row_scratch_numbers, run};
  static const ThresholdBackend table = {"sm80", target.c_str(), {}, {}, &of_rows};
  return found >= 80 && *ceiling == '\0' ? &table : nullptr;
}

}  // namespace flashring::sm80
