// Rows of scores in the memory of a device: bytes per second of a threshold family, forward and backward, beside the
// measured copy.
#include <algorithm>
#include <chrono>
#include <vector>

#include "flashring/buffer.hpp"
#include "flashring/threshold_rows.hpp"
#include "gpu_bench.hpp"
#include "threshold_kernels.hpp"

namespace flashring::gpu_bench {
namespace {

using Clock = std::chrono::steady_clock;

/// 128 MB in fp32: more than the caches of any GPU, and seven lengths take some seconds together.
constexpr std::int64_t all_scores = std::int64_t{1} << 25;
constexpr int runs = 5;

/// (rows, n) scores and gradients in the memory of the kernels.
struct ScoreArrays {
  ScoreArrays(const Device *device, std::size_t count) : x(device), g(device), out(device) {
    std::vector<float> numbers(count);
    std::uint64_t state = 88172645463325252U;
    for (float &number : numbers) {  // of four uniform ones, near enough to a normal one
      number = -2;
      for (int k = 0; k < 4; ++k) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        number += static_cast<float>(static_cast<double>(state >> 11U) * 0x1p-53);
      }
      number *= 1.7F;
    }
    for (AlignedBuffer *array : {&x, &g, &out}) {
      array->resize(count * sizeof(float));
      BufferWriter writer(*array, count * sizeof(float));
      std::copy_n(numbers.data(), count, reinterpret_cast<float *>(writer.next()));
      writer.finish();
    }
  }
  AlignedBuffer x, g, out;
};

/// Least seconds of some runs.
template <class Work>
double least_seconds(const Work &work) {
  double least = 1e30;
  for (int run = 0; run <= runs; ++run) {
    const auto begin = Clock::now();
    work();
    const std::chrono::duration<double> taken = Clock::now() - begin;
    if (run > 0) least = std::min(least, taken.count());
  }
  return least;
}

/// The kernels of whole rows alone, without what a call takes to the host; 0 where rows are taken in parts.
double kernel_seconds(const ThresholdBackend &kernels, const RowsShape &shape, ScoreArrays &arrays, bool backward) {
  const ThresholdStep step = backward ? ThresholdStep::backward : ThresholdStep::forward;
  if (kernels.device == nullptr || !kernels.device->is_whole(step, Storage::fp32, shape.n)) return 0;
  const Device *device = kernels.device->memory;
  const ThresholdFamily family = threshold_family("diffmax", 0.5);
  const auto rows = static_cast<std::size_t>(shape.rows());
  const std::vector<ThresholdMark> start(rows, {3, 0.5, 1});
  AlignedBuffer families(device), marks(device), sums(device), outcomes(device);
  families.resize(sizeof(family));
  marks.resize(rows * sizeof(ThresholdMark));
  sums.resize(rows * sizeof(ThresholdSums));
  outcomes.resize(rows * sizeof(RowOutcome));
  device->upload(families.data(), reinterpret_cast<const std::byte *>(&family), sizeof(family));
  device->upload(marks.data(), reinterpret_cast<const std::byte *>(start.data()), marks.size());
  wait_for(device);
  ThresholdCall call{};
  call.step = step;
  call.storage = Storage::fp32;
  call.rows = shape.rows();
  call.n = shape.n;
  call.inner = call.groups = call.rows_per_group = 1;
  call.families = reinterpret_cast<const ThresholdFamily *>(families.data());
  call.x = arrays.x.data();
  call.g = arrays.g.data();
  call.out = arrays.out.data();
  call.marks = reinterpret_cast<ThresholdMark *>(marks.data());
  call.sums = reinterpret_cast<double *>(sums.data());
  call.outcomes = reinterpret_cast<RowOutcome *>(outcomes.data());
  call.sum_one = call.parameter = true;
  return least_seconds([&] {
    kernels.device->run(call);
    wait_for(device);
  });
}

struct ScoreLine {
  std::string backend;
  const char *direction;
  std::int64_t n, rows;
  double seconds, kernels, bytes, copied_bytes;
};

void print_line(const ScoreLine &line, std::FILE *json) {
  const double best = line.kernels > 0 ? line.kernels : line.seconds;
  const double rate = line.bytes / best;
  const double fraction = line.copied_bytes > 0 ? rate / line.copied_bytes : 0;
  std::printf("%-6s fp32 scores %-8s n %7lld rows %7lld call %10.3e s kernels %10.3e s %8.1f GB/s %6.2f of a copy\n",
              line.backend.c_str(), line.direction, static_cast<long long>(line.n), static_cast<long long>(line.rows),
              line.seconds, line.kernels, 1e-9 * rate, fraction);
  if (json != nullptr)
    std::fprintf(json,
                 "{\"kind\":\"scores\",\"backend\":\"%s\",\"direction\":\"%s\",\"n\":%lld,\"rows\":%lld,"
                 "\"seconds\":%.6g,\"kernel_seconds\":%.6g,\"bytes_per_second\":%.6g,\"fraction\":%.4g}\n",
                 line.backend.c_str(), line.direction, static_cast<long long>(line.n),
                 static_cast<long long>(line.rows), line.seconds, line.kernels, rate, fraction);
}

}  // namespace

void run_scores(const std::string &backend, double copied_bytes, bool tiny, std::FILE *json) {
  const ThresholdBackend &kernels = find_threshold_backend(backend);
  const Device *device = kernels.device == nullptr ? nullptr : kernels.device->memory;
  const std::int64_t all = tiny ? 1 << 13 : all_scores;
  ScoreArrays arrays(device, static_cast<std::size_t>(all));
  for (const std::int64_t n : {64, 256, 1024, 4096, 16384, 65536, 1000000}) {
    if (n > all) continue;
    ThresholdRowsOptions options;
    options.backend = backend;
    options.memory = device == nullptr ? MemorySpace::host : MemorySpace::device;
    const RowsShape shape{all / n, n, 1};
    ThresholdRows rows(shape, options);
    ThresholdSaved saved;
    const double bytes = static_cast<double>(shape.rows() * n) * sizeof(float);
    const auto forward = [&] { saved = rows.forward(arrays.x.data(), Storage::fp32, arrays.out.data()); };
    const auto backward = [&] {
      rows.backward(arrays.x.data(), saved, arrays.g.data(), Storage::fp32, arrays.out.data());
    };
    print_line({kernels.name, "forward", n, shape.rows(), least_seconds(forward),
                kernel_seconds(kernels, shape, arrays, false), 2 * bytes, copied_bytes},
               json);
    print_line({kernels.name, "backward", n, shape.rows(), least_seconds(backward),
                kernel_seconds(kernels, shape, arrays, true), 3 * bytes, copied_bytes},
               json);
  }
  std::printf("\n");
}

}  // namespace flashring::gpu_bench
