// Points on a small lattice, where squared distances are whole numbers: every backend and precision has them exactly,
// many are equal, and some points coincide. Their nearest neighbours are known to the last bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace flashring::test {

/// (count, features) row-major, numbers 0 to 4 that look random: the same for the same row.
inline std::vector<double> lattice_points(std::size_t count, int features, std::uint64_t seed) {
  std::vector<double> rows;
  for (std::size_t i = 0; i < count; ++i)
    for (int k = 0; k < features; ++k) {
      std::uint64_t x = (seed * 1000003 + i) * 64 + static_cast<std::uint64_t>(k) + 1;
      x = (x ^ x >> 31) * 0x7fb5d329728ea185U;
      x = (x ^ x >> 27) * 0x81dadef4bc2dd44dU;
      rows.push_back(static_cast<double>((x ^ x >> 33) % 5));
    }
  return rows;
}

/// Of all rows of `x`: the first k of (|x_i - y_j|, first + j) by sorting all, as (rows, 2k) column-major: distances,
/// then rows. `counts(i, j)`: whether the pair does. Places that nobody takes hold (infinity, -1).
template <class Counts>
std::vector<double> nearest_by_sorting(const std::vector<double> &x, const std::vector<double> &y, int features,
                                       std::int64_t first, int k, Counts counts) {
  const auto d = static_cast<std::size_t>(features);
  const std::size_t rows = x.size() / d;
  std::vector<double> answer(rows * 2 * static_cast<std::size_t>(k));
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<std::pair<double, std::int64_t>> all;
    for (std::size_t j = 0; j < y.size() / d; ++j) {
      double q = 0;
      for (std::size_t f = 0; f < d; ++f) q += (x[i * d + f] - y[j * d + f]) * (x[i * d + f] - y[j * d + f]);
      if (counts(i, j)) all.emplace_back(q, first + static_cast<std::int64_t>(j));
    }
    std::sort(all.begin(), all.end());
    all.resize(std::max(all.size(), static_cast<std::size_t>(k)), {HUGE_VAL, -1});
    for (std::size_t n = 0; n < static_cast<std::size_t>(k); ++n) {
      answer[n * rows + i] = std::sqrt(all[n].first);
      answer[(static_cast<std::size_t>(k) + n) * rows + i] = static_cast<double>(all[n].second);
    }
  }
  return answer;
}

}  // namespace flashring::test
