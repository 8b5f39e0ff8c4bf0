// What a backend does with a row of scores: the table that src/operator finds by the backend's name. Rows of scores lie
// beside each other in working precision; nothing here allocates, and a row gives the same bits wherever it lies.
#pragma once

#include <cstdint>
#include <string_view>

#include "flashring/threshold.hpp"

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

struct ThresholdBackend {
  const char *name;
  const char *target;  ///< instruction set
  ThresholdKernels<float> fp32;
  ThresholdKernels<double> fp64;
};

/// name[:ceiling] as find_backend (flashring/tile.hpp) takes it; "auto": the last of the list. Throws Error for a
/// backend without kernels of rows, and names those that have them.
const ThresholdBackend &find_threshold_backend(std::string_view name);

}  // namespace flashring
