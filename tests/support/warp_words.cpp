#include "support/warp_words.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "support/fragments.hpp"

namespace flashring::test {
namespace {

constexpr int lanes = 32;

float bf16(std::uint32_t half) { return std::bit_cast<float>(half << 16U); }
/// Number i of registers that hold two each.
float number(const std::uint32_t *registers, int i) { return bf16(registers[i / 2] >> (i % 2 * 16) & 0xffffU); }

std::uint32_t nearest_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return 0x7fffU;
  return (bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U;
}

/// Toward zero.
float cut_to_float(double x) {
  const auto nearest = static_cast<float>(x);
  return std::abs(static_cast<double>(nearest)) > std::abs(x) ? std::nextafter(nearest, 0.0F) : nearest;
}

}  // namespace

std::uint32_t two_bf16(float low, float high) { return nearest_bf16(low) | nearest_bf16(high) << 16U; }

float unit_sum(float start, const float *a, const float *b) {
  double addends[17];
  addends[16] = start;
  double largest = std::abs(addends[16]);
  for (int k = 0; k < 16; ++k) {
    addends[k] = static_cast<double>(a[k]) * static_cast<double>(b[k]);
    largest = std::max(largest, std::abs(addends[k]));
  }
  double sum = 0;
  for (const double addend : addends) sum += addend;
  if (!(largest < HUGE_VAL) || std::isnan(sum)) return static_cast<float>(sum);
  if (largest == 0) return 0;
  // The largest lies in [2^e, 2^(e+1)) and has its last bit at 2^(e-23) in fp32; both scales are powers of two.
  const int e = static_cast<int>(std::bit_cast<std::uint64_t>(largest) >> 52U) - 1023;
  if (e < -900) return 0;
  const double up = std::bit_cast<double>(static_cast<std::uint64_t>(25 - e + 1023) << 52U);
  std::int64_t whole = 0;
  for (const double addend : addends) whole += static_cast<std::int64_t>(addend * up);  // conversion cuts off
  return cut_to_float(static_cast<double>(whole) / up);
}

void mma_warp(void *const *calls) {
  float a[16][16];   // (row, k)
  float b[8][16];    // (column, k)
  float sum[16][8];  // (row, column)
  for (int lane = 0; lane < lanes; ++lane) {
    const auto &call = *static_cast<const MmaCall *>(calls[lane]);
    for (int i = 0; i < 8; ++i) a[a_element(lane, i).row][a_element(lane, i).column] = number(call.a, i);
    for (int i = 0; i < 4; ++i) b[b_element(lane, i).column][b_element(lane, i).row] = number(call.b, i);
    for (int i = 0; i < 4; ++i) sum[c_element(lane, i).row][c_element(lane, i).column] = call.sum[i];
  }
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) sum[row][column] = unit_sum(sum[row][column], a[row], b[column]);
  for (int lane = 0; lane < lanes; ++lane)
    for (int i = 0; i < 4; ++i)
      static_cast<const MmaCall *>(calls[lane])->sum[i] = sum[c_element(lane, i).row][c_element(lane, i).column];
}

void load_matrices_warp(void *const *calls) {
  for (int lane = 0; lane < lanes; ++lane)
    for (int m = 0; m < 4; ++m) {
      const Element first = matrix_element(lane, 0);
      const std::byte *row = static_cast<const MatricesCall *>(calls[8 * m + first.row])->row;
      if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) throw std::logic_error("a matrix row is not aligned");
      std::memcpy(static_cast<const MatricesCall *>(calls[lane])->matrices + m, row + 2 * first.column, 4);
    }
}

void transpose_warp(void *const *calls) {
  std::uint32_t matrix[8][8];  // (row, column)
  const auto value = [&](int lane) -> std::uint32_t & { return *static_cast<std::uint32_t *>(calls[lane]); };
  for (int lane = 0; lane < lanes; ++lane)
    for (int i = 0; i < 2; ++i)
      matrix[matrix_element(lane, i).row][matrix_element(lane, i).column] = value(lane) >> (16 * i) & 0xffffU;
  for (int lane = 0; lane < lanes; ++lane) {
    value(lane) = 0;
    for (int i = 0; i < 2; ++i)
      value(lane) |= matrix[matrix_element(lane, i).column][matrix_element(lane, i).row] << (16 * i);
  }
}

void shuffle_warp(void *const *calls) {
  std::byte given[lanes][8];
  for (int lane = 0; lane < lanes; ++lane) std::memcpy(given[lane], static_cast<ShuffleCall *>(calls[lane])->value, 8);
  for (int lane = 0; lane < lanes; ++lane) {
    auto &call = *static_cast<ShuffleCall *>(calls[lane]);
    const auto &other = *static_cast<const ShuffleCall *>(calls[lane ^ call.distance]);
    if (other.distance != call.distance || other.bytes != call.bytes)
      throw std::logic_error("lanes exchange differently");
    std::memcpy(call.value, given[lane ^ call.distance], call.bytes);
  }
}

}  // namespace flashring::test
