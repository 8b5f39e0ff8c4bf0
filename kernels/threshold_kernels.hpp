// What a backend does with rows of scores: the table that src/operator finds by the backend's name. Processors take one
// row at a time, which lies in working precision; devices take all rows in one call, as they are stored. Nothing here
// allocates, and a row gives the same bits wherever it lies.
#pragma once

#include <cstdint>
#include <string_view>

#include "flashring/storage.hpp"
#include "flashring/threshold.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// A row and its threshold: p of entry i is [1 + s (x_i - maximum) - t]_+^e.
template <class T>
struct ThresholdRow {
  const T *x;      // (n)
  std::int64_t n;  // 0 or more
  double maximum;  // finite
  double t;
};

struct ThresholdSums {
  double first = 0;
  double second = 0;
};

/// Rows of z are padded by -infinity to a multiple of this many numbers: of every number of lanes.
constexpr std::int64_t threshold_padding = 64;
constexpr std::int64_t padded_scores(std::int64_t n) {
  return (n + threshold_padding - 1) / threshold_padding * threshold_padding;
}

/// Of one working precision.
template <class T>
struct ThresholdKernels {
  /// The largest x; -infinity where there is none, +infinity where an entry is NaN or +infinity.
  double (*largest)(const T *x, std::int64_t n);
  /// z = s (x - maximum) of the entries that may have p > 0 for some t >= 0, in their order, to z (padded_scores(n));
  /// returns how many. t is not read.
  std::int64_t (*select)(const ThresholdRow<T> &row, const ThresholdFamily &family, T *z);
  /// sum p and sum u of the `count` entries of z at t.
  ThresholdSums (*sums)(const T *z, std::int64_t count, double t, const ThresholdFamily &family);
  /// p times factor, to p (n), which may be x.
  void (*weights)(const ThresholdRow<T> &row, const ThresholdFamily &family, double factor, T *p);
  /// sum u and sum u g; g (n) is not read where u is 0.
  ThresholdSums (*gradient_sums)(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g);
  /// s e u (g - mean) to dx (n), which may be x or g. Returns sum r (g - mean) where `parameter`, otherwise 0.
  double (*gradient)(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g, double mean, bool parameter,
                     T *dx);
};

/// What metrics are made of.
struct RowOutcome {
  double sum = 1;
  double step = 0;
  int iterations = 0;
  std::int64_t finite = 0;   ///< with monitor, as are the next
  std::int64_t support = 0;  ///< on this rank
  double entropy = 0;
  double gradient_square = 0;
};

/// Where a row stands, for a device.
struct ThresholdMark {
  double maximum;  ///< of x; not finite: the row gets zeros and sums of 0
  double t;
  double number;  ///< the factor of weights, or the mean that a gradient is centred by
};

/// What a device does with all rows. A row's sums are two numbers.
enum class ThresholdStep : std::uint8_t {
  largest,        ///< sums: the largest x as ThresholdKernels::largest gives it, and how many are above -infinity
  sums,           ///< sums: of p and u
  weights,        ///< p times `number`, to out; sums: how many p are positive, and -sum p ln p where `monitor`
  forward,        ///< all of this for whole rows, with Newton's iteration: to marks, outcomes and out
  gradient_sums,  ///< sums: of u and u g; g is not read where u is 0
  gradient,       ///< s e u (g - number), to out; sums: r (g - number) where `parameter`, and the squares of out
  backward,       ///< both for whole rows
};
constexpr bool reads_gradient(ThresholdStep step) { return step >= ThresholdStep::gradient_sums; }

/// Pointers are the device's. Row r: numbers r / inner * n * inner + r % inner, then steps of inner; its family is
/// number r / rows_per_group % groups.
struct ThresholdCall {
  ThresholdStep step;
  Storage storage;
  std::int64_t rows, n, inner;      ///< 1 or more each
  const ThresholdFamily *families;  // (groups)
  std::int64_t groups, rows_per_group;
  const void *x, *g;     // (outer, n, inner)
  void *out;             // the same; may be x or g
  ThresholdMark *marks;  // (rows); forward writes it
  double *sums;          // (rows, 2)
  RowOutcome *outcomes;  // (rows), of forward
  double *scratch;       // (scratch_numbers)
  bool sum_one;          ///< of forward: p is divided by its sum
  bool monitor;          ///< counts and entropies are asked for
  bool parameter;        ///< r is asked for
};

/// Rows whose numbers lie in the memory of a device.
struct ThresholdDevice {
  const Device *memory;  ///< that memory; calls are queued where its copies are, and `finish` tells what went wrong
  /// Whether a row of n numbers can be taken whole, which steps forward and backward do: it is read once then.
  bool (*is_whole)(ThresholdStep step, Storage storage, std::int64_t n);
  std::int64_t (*scratch_numbers)(std::int64_t rows, std::int64_t n);
  void (*run)(const ThresholdCall &call);
};

struct ThresholdBackend {
  const char *name;
  const char *target;  ///< instruction set
  ThresholdKernels<float> fp32;
  ThresholdKernels<double> fp64;
  const ThresholdDevice *device = nullptr;  ///< in place of both
};

/// name[:ceiling] as find_backend (flashring/tile.hpp) takes it; "auto": the last of the list that reads `memory` as it
/// is, "cuda": of those of devices. Throws Error for a backend without kernels of rows, and names those that have them;
/// and where memory is a device's and the backend is not.
const ThresholdBackend &find_threshold_backend(std::string_view name, MemorySpace memory = MemorySpace::host);

}  // namespace flashring
