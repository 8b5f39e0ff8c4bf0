// What is done with the registers of a matrix unit (unit.hpp), for any class of unit.
#pragma once

#include <chrono>

#include "amx/unit.hpp"

namespace flashring::amx {

constexpr std::size_t register_stride = unit_bytes / unit_rows;

/// Registers 0..5: two blocks of rows times three groups; 6: left operand; 7: right operand. The order of terms is such
/// that groups 1 and 2 sum in the same order when left and right change places.
template <class U>
void multiply_features(U &unit, Operand left, Operand right, int chunks, int terms, float *sums) {
  unit.template zero<0>();
  unit.template zero<1>();
  if (terms > 1) {
    unit.template zero<2>();
    unit.template zero<3>();
    unit.template zero<4>();
    unit.template zero<5>();
  }
  for (int n = 0; n < chunks * terms; n += terms)
    for (int b = 0; b < terms; ++b) {
      unit.template load<7>(right.first + std::size_t{unit_bytes} * (n + b), register_stride);
      for (int a = 0; a + b < terms; ++a) {
        const std::byte *rows = left.first + std::size_t{unit_bytes} * (n + a);
        unit.template load<6>(rows, register_stride);
        if (a == b)
          unit.template multiply<0, 6, 7>();
        else if (a < b)
          unit.template multiply<2, 6, 7>();
        else
          unit.template multiply<4, 6, 7>();
        unit.template load<6>(rows + left.block_bytes, register_stride);
        if (a == b)
          unit.template multiply<1, 6, 7>();
        else if (a < b)
          unit.template multiply<3, 6, 7>();
        else
          unit.template multiply<5, 6, 7>();
      }
    }
  unit.template store<0>(sums, register_stride);
  unit.template store<1>(sums + unit_words, register_stride);
  if (terms == 1) return;
  unit.template store<2>(sums + 2 * unit_words, register_stride);
  unit.template store<3>(sums + 3 * unit_words, register_stride);
  unit.template store<4>(sums + 4 * unit_words, register_stride);
  unit.template store<5>(sums + 5 * unit_words, register_stride);
}

/// One or two blocks of the left operand with one of the right.
template <bool two, class U>
void add_block(U &unit, Operand left, const std::byte *right, int chunks, int terms, float *sums, int stride) {
  const std::size_t stride_bytes = static_cast<std::size_t>(stride) * sizeof(float);
  float *second = sums + static_cast<std::size_t>(stride) * unit_rows;
  unit.template load<0>(sums, stride_bytes);
  if constexpr (two) unit.template load<1>(second, stride_bytes);
  for (int n = 0; n < chunks * terms; n += terms)
    for (int b = 0; b < terms; ++b) {
      unit.template load<7>(right + std::size_t{unit_bytes} * (n + b), register_stride);
      for (int a = 0; a + b < terms; ++a) {
        const std::byte *rows = left.first + std::size_t{unit_bytes} * (n + a);
        unit.template load<5>(rows, register_stride);
        unit.template multiply<0, 5, 7>();
        if constexpr (two) {
          unit.template load<6>(rows + left.block_bytes, register_stride);
          unit.template multiply<1, 6, 7>();
        }
      }
    }
  unit.template store<0>(sums, stride_bytes);
  if constexpr (two) unit.template store<1>(second, stride_bytes);
}

template <class U>
void add_products(U &unit, Operand left, Operand right, int chunks, int terms, float *sums, int stride) {
  for (int m = 0; m < left.blocks; m += 2)
    for (int n = 0; n < right.blocks; ++n) {
      const Operand rows{left.first + left.block_bytes * m, left.block_bytes, left.blocks - m};
      const std::byte *columns = right.first + right.block_bytes * n;
      float *at = sums + static_cast<std::size_t>(m * unit_rows) * stride + n * unit_rows;
      if (rows.blocks > 1)
        add_block<true>(unit, rows, columns, chunks, terms, at, stride);
      else
        add_block<false>(unit, rows, columns, chunks, terms, at, stride);
    }
}

/// Multiply-adds per second from registers alone: the best of some bursts of about a tenth of a millisecond.
template <class U>
double measure_rate(U &unit) {
  using Clock = std::chrono::steady_clock;
  constexpr int rounds = 2000;
  double best = 0;
  unit.configure(whole_registers);
  unit.template zero<6>();
  unit.template zero<7>();
  for (int burst = 0; burst < 20; ++burst) {
    const Clock::time_point begin = Clock::now();
    for (int n = 0; n < rounds; ++n) {
      unit.template multiply<0, 6, 7>();
      unit.template multiply<1, 6, 7>();
      unit.template multiply<2, 6, 7>();
      unit.template multiply<3, 6, 7>();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const double rate = 4.0 * rounds * unit_rows * unit_rows * chunk / seconds;
    best = rate > best ? rate : best;
  }
  unit.release();
  return best;
}

}  // namespace flashring::amx
