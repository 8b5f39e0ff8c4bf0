// Backend amx. The matrix unit's emulation against its documentation, layouts, split sums, permission: everywhere. The
// unit of the hardware against its emulation, bit by bit: where there is one; tests of it are skipped by name
// elsewhere. Tiles are in test_amx_tiles.cpp.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstring>
#include <functional>

#include "amx/bf16.hpp"
#include "amx/emulated.hpp"
#include "amx/payload.hpp"
#include "flashring/check.hpp"
#include "support/oracle.hpp"

namespace flashring::test {
namespace {

using namespace amx;

constexpr double u = 0x1p-24;  // unit roundoff of fp32

TileConfig shapes(int m, int k, int n) {  // register 0: m x n sums, 1: m x k pairs, 2: k pairs x n
  TileConfig config;
  config.palette = 1;
  const int rows[] = {m, m, k};
  const int columns[] = {n, k, n};
  for (int t = 0; t < 3; ++t) {
    config.rows[t] = static_cast<std::uint8_t>(rows[t]);
    config.row_bytes[t] = static_cast<std::uint16_t>(4 * columns[t]);
  }
  return config;
}

/// c (m, n) += a (m, 2k) b (k, 2n), by the emulation.
std::vector<float> emulate(int m, int k, int n, const std::vector<std::uint16_t> &a,
                           const std::vector<std::uint16_t> &b, std::vector<float> c) {
  Emulated unit;
  unit.configure(shapes(m, k, n));
  unit.load<0>(c.data(), 4 * static_cast<std::size_t>(n));
  unit.load<1>(a.data(), 4 * static_cast<std::size_t>(k));
  unit.load<2>(b.data(), 4 * static_cast<std::size_t>(n));
  unit.multiply<0, 1, 2>();
  unit.store<0>(c.data(), 4 * static_cast<std::size_t>(n));
  unit.release();
  return c;
}

/// One sum of K pairs.
float one_sum(const std::vector<float> &a, const std::vector<float> &b, float c) {
  std::vector<std::uint16_t> x(a.size());
  std::vector<std::uint16_t> y(b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    x[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(a[i]) >> 16U);
    y[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(b[i]) >> 16U);
  }
  return emulate(1, static_cast<int>(a.size()) / 2, 1, x, y, {c})[0];
}

TEST(EmulatedUnit, ExamplesByHand) {
  EXPECT_EQ(one_sum({1, 2, 3, 4}, {5, 6, 7, 8}, 10), 10 + 1 * 5 + 2 * 6 + 3 * 7 + 4 * 8);
  // 2^24 + 1 is a tie and goes to the even 2^24; ones that are summed by themselves first are not lost.
  EXPECT_EQ(one_sum({4096, 0, 1, 0, 1, 0}, {4096, 0, 1, 0, 1, 0}, 0), 0x1p24F);
  EXPECT_EQ(one_sum({4096, 1, 0, 1}, {4096, 1, 0, 1}, 0), 0x1p24F + 2);
  EXPECT_EQ(one_sum({4096, 0, 3, 0}, {4096, 0, 1, 0}, 0), 0x1p24F + 4);
  // The products are summed before the accumulator comes in.
  EXPECT_EQ(one_sum({1, 1}, {1, 1}, 0x1p24F), 0x1p24F + 2);
}

TEST(EmulatedUnit, NumbersBelowTheSmallestNormalOneAreZero) {
  EXPECT_EQ(one_sum({0x1p-127F, 0}, {0x1p100F, 0}, 0), 0) << "left operand";
  EXPECT_EQ(one_sum({0x1p100F, 0}, {0x1p-127F, 0}, 0), 0) << "right operand";
  EXPECT_EQ(one_sum({0, 0}, {0, 0}, 0x1p-127F), 0) << "accumulator";
  EXPECT_EQ(one_sum({0x1p-64F, 0}, {0x1p-64F, 0}, 0), 0) << "product";
  EXPECT_EQ(one_sum({0x1p-63F, 0}, {0x1p-63F, 0}, 0), 0x1p-126F);
  EXPECT_EQ(one_sum({0x1.8p-63F, 0x1p-63F}, {0x1p-63F, -0x1p-63F}, 0), 0) << "difference of two";
  EXPECT_EQ(one_sum({0x1p-63F, 0}, {-0x1p-63F, 0}, 0x1.8p-126F), 0) << "result";
  // The sum of both is not flushed on the way: one rounding.
  EXPECT_EQ(one_sum({0x1p-63F, 0, 0x1p-64F, 0}, {0x1p-63F, 0, 0x1p-64F, 0}, 0), 0x1.4p-126F);
}

TEST(EmulatedUnit, InfinitiesAndNaNsStay) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(one_sum({infinity, 1}, {1, 1}, 0), infinity);
  EXPECT_TRUE(std::isnan(one_sum({infinity, 0}, {0, 0}, 0)));
  EXPECT_EQ(one_sum({0x1p120F, 0x1p120F}, {0x1p120F, 0x1p-120F}, 0), infinity);
}

/// The documented order with the fused multiply-add of the C library, for operands without subnormal numbers.
float documented(const std::vector<std::uint16_t> &a, const std::vector<std::uint16_t> &b, int m, int n, int k_count,
                 int columns, float c) {
  float even = 0;
  float odd = 0;
  for (int k = 0; k < k_count; ++k) {
    const auto left = static_cast<std::size_t>(m * k_count + k) * 2;
    const auto right = static_cast<std::size_t>(k * columns + n) * 2;
    even = std::fma(from_bf16(a[left]), from_bf16(b[right]), even);
    odd = std::fma(from_bf16(a[left + 1]), from_bf16(b[right + 1]), odd);
  }
  return c + (even + odd);
}

std::vector<std::uint16_t> random_bits(std::size_t count, std::uint64_t seed, int exponents) {
  const std::vector<double> x = random_numbers(count, seed);
  const std::vector<double> e = random_numbers(count, seed + 1);
  std::vector<std::uint16_t> bits(count);
  for (std::size_t i = 0; i < count; ++i)
    bits[i] = to_bf16(static_cast<float>(std::ldexp(x[i], static_cast<int>(e[i] * exponents))));
  return bits;
}

TEST(EmulatedUnit, EqualsTheDocumentedOrder) {
  for (const int exponents : {0, 8, 50})  // within and beyond what its short way covers
    for (const auto [m, k, n] : {std::array{16, 16, 16}, std::array{3, 7, 5}, std::array{16, 1, 2}}) {
      const auto a = random_bits(static_cast<std::size_t>(2 * m * k), 1, exponents);
      const auto b = random_bits(static_cast<std::size_t>(2 * k * n), 2, exponents);
      std::vector<float> c(static_cast<std::size_t>(m * n));
      for (std::size_t i = 0; i < c.size(); ++i) c[i] = static_cast<float>(random_numbers(c.size(), 3)[i]);
      const std::vector<float> result = emulate(m, k, n, a, b, c);
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) {
          const auto at = static_cast<std::size_t>(i * n + j);
          EXPECT_EQ(result[at], documented(a, b, i, j, k, n, c[at])) << exponents << ": " << i << "," << j;
        }
    }
}

TEST(EmulatedUnit, RefusesWhatTheHardwareRefuses) {
  Emulated unit;
  unsigned char memory[1024] = {};
  EXPECT_THROW(unit.load<0>(memory, 64), Error) << "not configured";
  const std::function<void(TileConfig &)> wrong[] = {
      [](TileConfig &c) { c.palette = 0; },   [](TileConfig &c) { c.palette = 2; },
      [](TileConfig &c) { c.start_row = 1; }, [](TileConfig &c) { c.reserved[3] = 1; },
      [](TileConfig &c) { c.rows[1] = 17; },  [](TileConfig &c) { c.row_bytes[1] = 65; },
      [](TileConfig &c) { c.rows[1] = 0; },   [](TileConfig &c) { c.row_bytes[1] = 0; },
      [](TileConfig &c) { c.rows[8] = 1; },   [](TileConfig &c) { c.row_bytes[15] = 4; },
  };
  for (const auto &spoil : wrong) {
    TileConfig config = whole_registers;
    spoil(config);
    EXPECT_THROW(unit.configure(config), Error) << &spoil - wrong;
  }
  const std::function<void(TileConfig &)> mismatched[] = {
      [](TileConfig &c) { c.row_bytes[1] = 62; }, [](TileConfig &c) { c.rows[0] = 15; },
      [](TileConfig &c) { c.row_bytes[0] = 60; }, [](TileConfig &c) { c.rows[2] = 15; },
      [](TileConfig &c) { c.row_bytes[2] = 60; }, [](TileConfig &c) { c.rows[2] = c.row_bytes[2] = 0; },
  };
  for (const auto &spoil : mismatched) {
    TileConfig config = whole_registers;
    spoil(config);
    unit.configure(config);
    EXPECT_THROW((unit.multiply<0, 1, 2>()), Error) << &spoil - mismatched;
  }
  unit.configure(whole_registers);
  EXPECT_NO_THROW((unit.multiply<0, 1, 2>()));
  EXPECT_THROW((unit.multiply<0, 1, 1>()), Error);
  EXPECT_THROW((unit.multiply<1, 1, 2>()), Error);
  unit.release();
  EXPECT_THROW(unit.zero<0>(), Error);
}

TEST(EmulatedUnit, LoadsByStrideAndClearsTheRest) {
  std::vector<float> memory(16 * 40, 7);
  Emulated unit;
  unit.configure(whole_registers);
  unit.load<0>(memory.data(), 160);
  TileConfig small = whole_registers;
  small.rows[0] = 2;
  small.row_bytes[0] = 12;
  unit.configure(small);  // all registers are 0 now
  for (int i = 0; i < 6; ++i) memory[static_cast<std::size_t>(i / 3 * 5 + i % 3)] = static_cast<float>(i);
  unit.load<0>(memory.data(), 20);
  std::vector<float> out(16, -1);
  unit.store<0>(out.data() + 1, 24);
  EXPECT_EQ(out, (std::vector<float>{-1, 0, 1, 2, -1, -1, -1, 3, 4, 5, -1, -1, -1, -1, -1, -1}));
}

TEST(Bf16, NearestTiesToEven) {
  const auto round = [](float x) { return from_bf16(to_bf16(x)); };
  EXPECT_EQ(round(1 + 0x1p-8F), 1) << "a tie goes to the even number";
  EXPECT_EQ(round(1 + 0x1.8p-7F), 1 + 0x1p-6F);
  EXPECT_EQ(round(1 + 0x1.01p-8F), 1 + 0x1p-7F);
  EXPECT_EQ(round(-(1 + 0x1.01p-8F)), -(1 + 0x1p-7F));
  EXPECT_EQ(round(FLT_MAX), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(round(std::bit_cast<float>(0x7fffffffU))));
}

TEST(Bf16, TermsLeaveWhatIsStated) {
  for (const double number : random_numbers(20000, 5)) {
    const auto x = static_cast<float>(number);
    std::uint16_t parts[3];
    split(x, 3, parts);
    double rest = x;
    for (int t = 0; t < 3; ++t) {
      rest -= double{from_bf16(parts[t])};
      EXPECT_LE(std::fabs(rest), t == 2 ? 0 : std::ldexp(std::fabs(x), -8 * (t + 1)));
    }
  }
}

TEST(Payload, BothLayoutsHoldEveryFeature) {
  for (const int d : {9, 32, 33, 70})
    for (const Precision precision : {Precision::reduced, Precision::fp32}) {
      const TileShape shape{parse_pair("gaussian:beta=1"), RowKind::sum, 0, precision, d, 1, {}};
      const PayloadLayout layout = payload_layout(shape);
      const std::size_t rows = 37;
      const std::vector<double> x = random_numbers(rows * static_cast<std::size_t>(d), 6);
      const std::vector<double> mean = random_numbers(static_cast<std::size_t>(d), 7);
      std::vector<std::byte> payload(layout.bytes());
      pack_terms(shape, {x.data(), static_cast<std::int64_t>(rows), mean.data(), 1.7}, true, payload.data());
      const auto number = [&](std::size_t byte) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, &payload[byte], 2);
        return bits;
      };
      for (int i = 0; i < tile_rows; ++i) {
        double norm = 0;
        for (int k = 0; k < layout.chunks * chunk; ++k) {
          const bool real = static_cast<std::size_t>(i) < rows && k < d;
          const auto at = static_cast<std::size_t>(i * d + k);
          const float value =
              real ? static_cast<float>((x[at] - mean[static_cast<std::size_t>(k)]) * (1.7 * std::sqrt(2.0))) : 0;
          norm += double{value} * double{value};
          std::uint16_t parts[3];
          split(value, layout.terms, parts);
          for (int t = 0; t < layout.terms; ++t) {
            const int reg = (i / 16 * layout.chunks + k / 32) * layout.terms + t;
            const std::size_t left =
                static_cast<std::size_t>(reg) * 1024 + static_cast<std::size_t>(i % 16 * 64 + k % 32 * 2);
            const std::size_t right = static_cast<std::size_t>(reg) * 1024 +
                                      static_cast<std::size_t>(k % 32 / 2 * 64 + i % 16 * 4 + k % 2 * 2);
            ASSERT_EQ(number(left), parts[t]) << "row " << i << " feature " << k;
            ASSERT_EQ(number(layout.columns_at() + right), parts[t]) << "row " << i << " feature " << k;
          }
        }
        float stored = 0;
        std::memcpy(&stored, &payload[layout.norms_at() + static_cast<std::size_t>(i) * 4], 4);
        ASSERT_EQ(stored, static_cast<float>(-norm / 2));
      }
      EXPECT_TRUE(same_row(layout, payload.data(), 5, payload.data(), 5));
      EXPECT_FALSE(same_row(layout, payload.data(), 5, payload.data(), 21));
    }
}

/// Random operand blocks with their numbers: (16 blocks, chunks * 32) fp32, split into terms.
struct Numbers {
  Numbers(int blocks, int chunks, int terms, std::uint64_t seed, bool as_left) : depth(chunks * chunk) {
    const auto rows = static_cast<std::size_t>(blocks * unit_rows);
    for (const double x : random_numbers(rows * static_cast<std::size_t>(depth), seed))
      values.push_back(static_cast<float>(x));
    bytes.resize(static_cast<std::size_t>(blocks * chunks * terms) * unit_words * 2);
    for (int r = 0; r < blocks * unit_rows; ++r)
      for (int k = 0; k < depth; ++k) {
        std::uint16_t parts[3];
        split(at(r, k), terms, parts);
        for (int t = 0; t < terms; ++t) {
          const int reg = (r / 16 * chunks + k / 32) * terms + t;
          const int inside = as_left ? r % 16 * 32 + k % 32 : (k % 32 / 2 * 16 + r % 16) * 2 + k % 2;
          bytes[static_cast<std::size_t>(reg * 512 + inside)] = parts[t];
        }
      }
    operand = {reinterpret_cast<const std::byte *>(bytes.data()), static_cast<std::size_t>(chunks * terms) * unit_bytes,
               blocks};
  }
  float at(int r, int k) const { return values[static_cast<std::size_t>(r * depth + k)]; }

  int depth;
  std::vector<float> values;
  std::vector<std::uint16_t> bytes;
  Operand operand;
};

/// |error| of split sums of products, referred to the sum of magnitudes: what the terms leave out, then roundings: 16
/// in a register, 2 where its halves and the accumulator meet, one for each product of terms and chunk after the first.
double split_error(int terms, int chunks) {
  const double left_out[] = {0x1p-7 * (1 + 0x1p-9), 3 * 0x1p-16 * (1 + 0x1p-8), 0x1p-23 * (1 + 0x1p-9)};
  return left_out[terms - 1] + (18 + chunks * terms * (terms + 1) / 2) * u;
}

void expect_sum(const Numbers &x, int i, const Numbers &y, int j, double start, double value, double bound) {
  double sum = start;
  double size = std::fabs(start) * u / bound;
  for (int k = 0; k < x.depth; ++k) {
    sum += double{x.at(i, k)} * double{y.at(j, k)};
    size += std::fabs(double{x.at(i, k)} * double{y.at(j, k)});
  }
  ASSERT_NEAR(value, sum, bound * size) << i << "," << j;
}

TEST(SplitSums, OfFeaturesAreAsAccurateAsStated) {
  for (const int terms : {1, 2, 3})
    for (const int chunks : {1, 3}) {
      const Numbers x(2, chunks, terms, 8, true);
      const Numbers y(1, chunks, terms, 9, false);
      std::vector<float> sums(static_cast<std::size_t>(groups(terms)) * 512);
      emulated_unit().begin();
      emulated_unit().features(x.operand, y.operand, chunks, terms, sums.data());
      emulated_unit().end();
      for (int i = 0; i < 32; ++i)
        for (int j = 0; j < 16; ++j) {
          const auto at = static_cast<std::size_t>(i * 16 + j);
          const float sum = terms == 1 ? sums[at] : sums[at] + (sums[at + 512] + sums[at + 1024]);
          expect_sum(x, i, y, j, 0, sum, split_error(terms, chunks));
        }
    }
}

TEST(SplitSums, OfFeaturesAreTheSameWhenSidesChange) {
  const int chunks = 2;
  const Numbers x(2, chunks, 3, 8, true);
  const Numbers x_right(2, chunks, 3, 8, false);
  const Unit &unit = emulated_unit();
  std::vector<float> s[2];
  unit.begin();
  for (int block = 0; block < 2; ++block) {
    s[block].resize(3 * 512);
    unit.features(x.operand, {x_right.operand.first + block * x_right.operand.block_bytes, 0, 1}, chunks, 3,
                  s[block].data());
  }
  unit.end();
  const auto sum = [&](int i, int j) {
    const std::vector<float> &v = s[j / 16];
    const auto at = static_cast<std::size_t>(i * 16 + j % 16);
    return v[at] + (v[at + 512] + v[at + 1024]);
  };
  for (int i = 0; i < 32; ++i)
    for (int j = 0; j < 32; ++j) ASSERT_EQ(sum(i, j), sum(j, i)) << i << "," << j;
}

TEST(SplitSums, OfColumnsAreAsAccurateAsStated) {
  for (const int terms : {1, 2, 3})
    for (const int left_blocks : {1, 2, 3, 4})
      for (const int right_blocks : {1, 3}) {
        const int chunks = 2;
        const int stride = right_blocks * 16 + 8;
        const Numbers x(left_blocks, chunks, terms, 10, true);
        const Numbers y(right_blocks, chunks, terms, 11, false);
        std::vector<float> sums(static_cast<std::size_t>(left_blocks * 16 * stride), 2.5F);
        emulated_unit().begin();
        emulated_unit().add(x.operand, y.operand, chunks, terms, sums.data(), stride);
        emulated_unit().end();
        for (int i = 0; i < left_blocks * 16; ++i)
          for (int j = 0; j < stride; ++j) {
            const float value = sums[static_cast<std::size_t>(i * stride + j)];
            if (j < right_blocks * 16)
              expect_sum(x, i, y, j, 2.5, value, split_error(terms, chunks));
            else
              ASSERT_EQ(value, 2.5F) << "beyond the last block";
          }
      }
}

TEST(Permission, IsAskedOnceAndMissingHardwareIsSaid) {
  const Unit *unit = hardware_unit();
  EXPECT_EQ(hardware_unit(), unit);
  if (unit != nullptr) return;
  try {
    find_backend("amx");
    FAIL() << "amx was found on a machine without it";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("'amx' is unknown or cannot run on this machine"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("amx:emulated"), std::string::npos);
  }
  EXPECT_THROW(find_backend("amx:abacus"), Error);
}

#define SKIP_WITHOUT_AMX() \
  if (hardware_unit() == nullptr) GTEST_SKIP() << "amx: not run, this machine has no AMX"

/// Both units on the same operands; returns the sums of all registers.
std::vector<float> all_sums(const Unit &unit, const Numbers &left, const Numbers &right, int chunks, int terms) {
  const auto features = static_cast<std::size_t>(groups(terms)) * 512;
  std::vector<float> sums(features + 32 * 16, 0.25F);
  unit.begin();
  unit.features(left.operand, right.operand, chunks, terms, sums.data());
  unit.add(left.operand, right.operand, chunks, terms, sums.data() + features, 16);
  unit.end();
  return sums;
}

TEST(Hardware, EqualsItsEmulationBitByBit) {
  SKIP_WITHOUT_AMX();
  for (const int terms : {1, 2, 3}) {
    const int chunks = 3;
    Numbers left(2, chunks, terms, 12, true);
    Numbers right(1, chunks, terms, 13, false);
    EXPECT_EQ(all_sums(*hardware_unit(), left, right, chunks, terms),
              all_sums(emulated_unit(), left, right, chunks, terms));
    // Numbers of all sizes, subnormal ones among them.
    left.bytes = random_bits(left.bytes.size(), 14, 70);
    right.bytes = random_bits(right.bytes.size(), 15, 70);
    left.operand.first = reinterpret_cast<const std::byte *>(left.bytes.data());
    right.operand.first = reinterpret_cast<const std::byte *>(right.bytes.data());
    EXPECT_EQ(all_sums(*hardware_unit(), left, right, chunks, terms),
              all_sums(emulated_unit(), left, right, chunks, terms));
  }
}

}  // namespace
}  // namespace flashring::test
