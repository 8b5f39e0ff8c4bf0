// The matrix unit in plain C++, exact to the bit as Intel documents it (Software Developer's Manual, LDTILECFG,
// TILELOADD, TILESTORED, TDPBF16PS), and stricter: what would raise an exception there throws Error here.
//
// TDPBF16PS of c (M x N fp32), a (M x K pairs of bf16) and b (K x N pairs): for every m and n
//   even = odd = 0;  for k: even += a[m][2k] b[k][2n], odd += a[m][2k+1] b[k][2n+1];  c[m][n] += even + odd
// where each += of a product is one fused multiply-add, rounded to nearest even; numbers below the smallest normal one
// count as 0 as operands and as results.
#pragma once

#include <cstddef>
#include <cstdint>

#include "amx/unit.hpp"

namespace flashring::amx {

class Emulated {
 public:
  void configure(const TileConfig &config);
  void release();

  template <int t>
  void zero() {
    clear(t);
  }
  template <int t>
  void load(const void *base, std::size_t stride) {
    read(t, base, stride);
  }
  template <int t>
  void store(void *base, std::size_t stride) {
    write(t, base, stride);
  }
  template <int c, int a, int b>
  void multiply() {
    dot(c, a, b);
  }

 private:
  /// The contents of a register as pairs of numbers, those below the smallest normal one as 0.
  struct Pairs {
    float even[unit_rows][unit_rows];  // (rows, pairs)
    float odd[unit_rows][unit_rows];
    /// All are 0 or 2^-56 <= |x| < 2^56. Products are then multiples of 2^-126, and so are their sums: nothing can
    /// fall below the smallest normal number or overflow, and plain sums are the same as fused_flushed.
    bool plain;
    bool current;  ///< false after the register has changed
  };

  void clear_all();
  void clear(int t);
  void read(int t, const void *base, std::size_t stride);
  void write(int t, void *base, std::size_t stride) const;
  void dot(int c, int a, int b);
  void need(int t) const;
  void need_shapes(int c, int a, int b) const;
  const Pairs &unpack(int t);
  static void dot_row(const Pairs &a, const Pairs &b, int m, int pairs, float *sums);
  static void dot_row_exactly(const Pairs &a, const Pairs &b, int m, int pairs, float *sums);

  TileConfig config_;
  alignas(64) std::uint8_t bytes_[registers][unit_rows][unit_bytes / unit_rows] = {};
  Pairs pairs_[registers] = {};
};

/// a * b + c rounded once, with operands and result below the smallest normal number taken as 0. a, b: bf16 numbers.
float fused_flushed(float a, float b, float c);

}  // namespace flashring::amx
