// Backend sm80: its exponential, its payload, and the emulated block of threads that its tests run on.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "support/sm80.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;

TEST(Sm80Words, Exp2OfDoubles) {
  double worst = 0;
  for (const double number : random_numbers(20000, 51)) {
    const double x = number * 1020;
    const long double exact = std::exp2(static_cast<long double>(x));
    worst = std::max(worst, static_cast<double>(std::abs(sm80_exp2(x) - exact) / exact));
  }
  EXPECT_LT(worst, 3 * 0x1p-53);  // the polynomial's 3.1e-18, f exactly, three roundings of its last steps
  for (int n = -1022; n <= 1023; ++n) ASSERT_EQ(sm80_exp2(n), std::ldexp(1.0, n)) << n;
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sm80_exp2(-1022.5), 0);
  EXPECT_EQ(sm80_exp2(-infinity), 0);
  EXPECT_EQ(sm80_exp2(infinity), infinity);
  EXPECT_EQ(sm80_exp2(1e5), infinity);
  EXPECT_TRUE(std::isnan(sm80_exp2(std::nan(""))));
}

TEST(Sm80Payload, UnpackGivesWhatPackTakes) {
  for (const Precision precision : {Precision::fp64, Precision::fp32})
    for (const int d : {1, 3, 33}) {
      const TileShape shape = TileShape{parse_pair("gaussian:beta=0.7"), RowKind::sum, 0, precision, d, 1, {}};
      constexpr std::int64_t count = T - 3;
      const std::vector<double> points = random_numbers(static_cast<std::size_t>(count * d), 31);
      const std::vector<double> mean = random_numbers(static_cast<std::size_t>(d), 32);
      AlignedBytes payload;
      payload.resize(sm80_table().payload_bytes(shape));
      std::memset(payload.data(), 0xff, payload.size());
      sm80_table().pack(shape, {points.data(), count, mean.data(), 0.37}, payload.data());
      std::vector<double> values(points.size());
      sm80_table().unpack(shape, payload.data(), count, values.data());
      for (std::size_t i = 0; i < points.size(); ++i) {
        const double expected = (points[i] - mean[i % mean.size()]) * 0.37;
        ASSERT_NEAR(values[i], expected, unit_roundoff(precision) * 2 * std::abs(expected)) << i;
      }
      std::vector<double> padding(static_cast<std::size_t>(T * d));
      sm80_table().unpack(shape, payload.data(), T, padding.data());
      for (std::size_t i = points.size(); i < padding.size(); ++i) ASSERT_EQ(padding[i], 0);
    }
}

TEST(CudaBlock, ThreadsMeetAndAMissingOneIsTold) {
  CudaBlock block(64, CudaBlock::Order::shuffled);
  int sum = 0;
  std::vector<int> seen(64, -1);
  block.run(5, 64, [&](CudaThread &t) {
    sum += t.thread();
    t.sync();
    seen[static_cast<std::size_t>(t.thread())] = sum + t.block();
    t.sync_warp();
  });
  for (const int value : seen) EXPECT_EQ(value, 63 * 32 + 5);
  EXPECT_THROW(block.run(0, 64,
                         [](CudaThread &t) {
                           if (t.thread() != 7) t.sync();
                         }),
               std::logic_error);
  EXPECT_THROW(block.run(0, 64,
                         [](CudaThread &t) {
                           if (t.lane() != 7) t.sync_warp();
                         }),
               std::logic_error);
}

}  // namespace
}  // namespace flashring::test
