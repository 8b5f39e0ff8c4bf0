// The emulated matrix unit, see emulated.hpp.
#include "amx/emulated.hpp"

#include <cfloat>
#include <cmath>
#include <cstring>

#include "amx/products.hpp"
#include "flashring/check.hpp"

namespace flashring::amx {
namespace {

float flushed(float x) { return std::fabs(x) < FLT_MIN ? std::copysign(0.0F, x) : x; }

/// Bits of a number, those of 0 where it is below the smallest normal one.
std::uint32_t flushed_bits(std::uint32_t bits) {
  return (bits & 0x7fffffffU) < 0x00800000U ? bits & 0x80000000U : bits;
}

/// 1 unless the number is 0 or has 2^-56 <= |x| < 2^56.
std::uint32_t is_extreme(std::uint32_t bits) {
  const std::uint32_t exponent = bits >> 23U & 0xffU;
  return static_cast<std::uint32_t>(exponent != 0) & static_cast<std::uint32_t>(exponent - (127 - 56) >= 2 * 56);
}

}  // namespace

float fused_flushed(float a, float b, float c) {
  // The product is exact in double. So is the sum, unless one of them is 2^29 times the other; then it is too near to
  // that number, which fp32 holds, for the second rounding to differ.
  const double sum = double{flushed(a)} * double{flushed(b)} + double{flushed(c)};
  const auto rounded = static_cast<float>(sum);
  // Whether a result is below the smallest normal number is asked after rounding to 24 bits.
  const bool tiny = std::fabs(sum) < double{FLT_MIN} * (1 - 0x1p-25);
  return tiny ? std::copysign(0.0F, rounded) : rounded;
}

void Emulated::configure(const TileConfig &config) {
  FLASHRING_CHECK(config.palette == 1, "matrix unit: palette ", int{config.palette}, ", 1 expected");
  FLASHRING_CHECK(config.start_row == 0, "matrix unit: a start row of ", int{config.start_row}, " resumes a load");
  for (const std::uint8_t byte : config.reserved) FLASHRING_CHECK(byte == 0, "matrix unit: a reserved byte is set");
  for (int t = 0; t < 16; ++t) {
    const int rows = config.rows[t];
    const int bytes = config.row_bytes[t];
    FLASHRING_CHECK(t < registers || (rows == 0 && bytes == 0), "matrix unit: there is no register ", t);
    FLASHRING_CHECK(rows <= unit_rows && bytes <= unit_bytes / unit_rows, "matrix unit: register ", t, " of ", rows,
                    " rows of ", bytes, " bytes, at most 16 of 64");
    FLASHRING_CHECK((rows == 0) == (bytes == 0), "matrix unit: register ", t, " has rows or bytes alone");
  }
  config_ = config;
  clear_all();
}

void Emulated::release() {
  config_ = TileConfig{};
  clear_all();
}

void Emulated::clear_all() {
  std::memset(bytes_, 0, sizeof bytes_);
  for (Pairs &p : pairs_) p.current = false;
}

void Emulated::need(int t) const {
  FLASHRING_CHECK(config_.palette == 1, "matrix unit: used before its registers were configured");
  FLASHRING_CHECK(config_.rows[t] > 0, "matrix unit: register ", t, " is not configured");
  FLASHRING_CHECK(config_.row_bytes[t] % 4 == 0, "matrix unit: register ", t, " has rows of ",
                  int{config_.row_bytes[t]}, " bytes, not a multiple of 4");
}

void Emulated::need_shapes(int c, int a, int b) const {
  FLASHRING_CHECK(c != a && c != b && a != b, "matrix unit: one register in two roles");
  for (const int t : {c, a, b}) need(t);
  FLASHRING_CHECK(config_.rows[c] == config_.rows[a], "matrix unit: sums and left operand differ in rows");
  FLASHRING_CHECK(config_.row_bytes[c] == config_.row_bytes[b],
                  "matrix unit: sums and right operand differ in columns");
  FLASHRING_CHECK(config_.row_bytes[a] / 4 == config_.rows[b], "matrix unit: the operands differ in pairs");
}

void Emulated::clear(int t) {
  need(t);
  std::memset(bytes_[t], 0, sizeof bytes_[t]);
  pairs_[t].current = false;
}

void Emulated::read(int t, const void *base, std::size_t stride) {
  clear(t);  // what lies beyond the configured shape becomes 0
  const auto *from = static_cast<const std::uint8_t *>(base);
  for (std::size_t r = 0; r < config_.rows[t]; ++r) std::memcpy(bytes_[t][r], from + r * stride, config_.row_bytes[t]);
}

void Emulated::write(int t, void *base, std::size_t stride) const {
  need(t);
  auto *to = static_cast<std::uint8_t *>(base);
  for (std::size_t r = 0; r < config_.rows[t]; ++r) std::memcpy(to + r * stride, bytes_[t][r], config_.row_bytes[t]);
}

const Emulated::Pairs &Emulated::unpack(int t) {
  Pairs &p = pairs_[t];
  if (p.current) return p;
  std::uint32_t extreme = 0;
  for (int r = 0; r < unit_rows; ++r) {
    std::uint32_t words[unit_rows];
    std::uint32_t even[unit_rows];
    std::uint32_t odd[unit_rows];
    std::memcpy(words, bytes_[t][r], sizeof words);
    for (int k = 0; k < unit_rows; ++k) {
      even[k] = flushed_bits(words[k] << 16U);
      odd[k] = flushed_bits(words[k] & 0xffff0000U);
      extreme |= is_extreme(even[k]) | is_extreme(odd[k]);
    }
    std::memcpy(p.even[r], even, sizeof even);
    std::memcpy(p.odd[r], odd, sizeof odd);
  }
  p.plain = extreme == 0;
  p.current = true;
  return p;
}

/// sums[n] = even + odd of row m. Products of bf16 numbers are exact in fp32, so that plain sums round once as well.
void Emulated::dot_row(const Pairs &a, const Pairs &b, int m, int pairs, float *sums) {
  // A vector type of the compiler: it would turn the loop over n inside out.
  using Row = float __attribute__((vector_size(unit_rows * sizeof(float))));
  Row even{};
  Row odd{};
  for (int k = 0; k < pairs; ++k) {
    Row right;
    std::memcpy(&right, b.even[k], sizeof right);
    even += a.even[m][k] * right;
    std::memcpy(&right, b.odd[k], sizeof right);
    odd += a.odd[m][k] * right;
  }
  even += odd;
  std::memcpy(sums, &even, sizeof even);
}

void Emulated::dot_row_exactly(const Pairs &a, const Pairs &b, int m, int pairs, float *sums) {
  for (int n = 0; n < unit_rows; ++n) {
    float even = 0;
    float odd = 0;
    for (int k = 0; k < pairs; ++k) {
      even = fused_flushed(a.even[m][k], b.even[k][n], even);
      odd = fused_flushed(a.odd[m][k], b.odd[k][n], odd);
    }
    sums[n] = flushed(even + odd);
  }
}

void Emulated::dot(int c, int a, int b) {
  need_shapes(c, a, b);
  const Pairs &left = unpack(a);
  const Pairs &right = unpack(b);
  const auto row_sums = left.plain && right.plain ? dot_row : dot_row_exactly;
  for (int m = 0; m < config_.rows[c]; ++m) {
    float products[unit_rows];
    float sums[unit_rows];
    row_sums(left, right, m, config_.rows[b], products);
    std::memcpy(sums, bytes_[c][m], sizeof sums);
    for (int n = 0; n < unit_rows; ++n) sums[n] = flushed(flushed(sums[n]) + products[n]);
    std::memcpy(bytes_[c][m], sums, config_.row_bytes[c]);
  }
  pairs_[c].current = false;
}

namespace {

/// Registers belong to a thread, as in the hardware.
Emulated &unit_of_thread() {
  thread_local Emulated unit;
  return unit;
}

constexpr Unit table = {
    "emulated",
    [] { unit_of_thread().configure(whole_registers); },
    [] { unit_of_thread().release(); },
    [](Operand left, Operand right, int chunks, int terms, float *sums) {
      multiply_features(unit_of_thread(), left, right, chunks, terms, sums);
    },
    [](Operand left, Operand right, int chunks, int terms, float *sums, int stride) {
      add_products(unit_of_thread(), left, right, chunks, terms, sums, stride);
    },
    [] { return 0.0; },
};

}  // namespace

const Unit &emulated_unit() { return table; }

}  // namespace flashring::amx
