// Index types, precisions and sides: the words that host code and kernels share. C++17, read by nvcc too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flashring {

/// Row number over all ranks, 0 <= value < N. Always 64 bits; never mixed with LocalRow by accident.
struct GlobalRow {
  std::int64_t value = 0;
};

/// Row number inside one rank's block, 0 <= value < rows of that rank.
struct LocalRow {
  std::int64_t value = 0;
};

constexpr bool operator==(GlobalRow a, GlobalRow b) { return a.value == b.value; }
constexpr bool operator<(GlobalRow a, GlobalRow b) { return a.value < b.value; }
constexpr bool operator==(LocalRow a, LocalRow b) { return a.value == b.value; }
constexpr bool operator<(LocalRow a, LocalRow b) { return a.value < b.value; }

/// Arithmetic inside a tile. Set-up vectors and residuals are always fp64, whatever the working precision. `reduced` is
/// a backend's fastest arithmetic; columns and sums stay fp32 there, and Backend::error says what it is good for.
enum class Precision : std::uint8_t { fp64, fp32, reduced };

/// Bytes of one column value (and per-pass scalar) in a precision.
constexpr std::size_t column_bytes(Precision precision) { return precision == Precision::fp64 ? 8 : 4; }

/// Which side of a tile receives sums: `own` is y_i += k(i,j) x_j, `visiting` the transpose y_j += k(i,j) x_i.
enum class Sides : std::uint8_t { own = 1, visiting = 2, both = 3 };

constexpr bool has_own(Sides sides) { return (static_cast<unsigned>(sides) & 1U) != 0; }
constexpr bool has_visiting(Sides sides) { return (static_cast<unsigned>(sides) & 2U) != 0; }

/// Columns that one pass over all pairs can carry.
constexpr int max_columns = 64;

/// What a pair function reads of every point beside its features.
enum class PointScale : std::uint8_t {
  none,
  length,      ///< a positive number, in the units of the features
  covariance,  ///< a symmetric positive definite (d, d) matrix, as its lower triangle row after row
};

/// Numbers of such a triangle.
constexpr int covariance_numbers(int features) { return features * (features + 1) / 2; }
/// Numbers of a point.
constexpr int scale_numbers(PointScale scale, int features) {
  return scale == PointScale::covariance ? covariance_numbers(features) : scale == PointScale::length ? 1 : 0;
}

}  // namespace flashring
