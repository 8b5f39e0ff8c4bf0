// The random numbers are those of Philox4x64-10: known answers of its authors' distribution, and moments.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/random.hpp"

namespace flashring::test {
namespace {

using Counter = std::array<std::uint64_t, 4>;
using Key = std::array<std::uint64_t, 2>;

TEST(Philox, KnownAnswers) {
  constexpr std::uint64_t ones = ~std::uint64_t{0};
  EXPECT_EQ(philox4x64({0, 0, 0, 0}, {0, 0}),
            (Counter{0x16554d9eca36314cU, 0xdb20fe9d672d0fdcU, 0xd7e772cee186176bU, 0x7e68b68aec7ba23bU}));
  EXPECT_EQ(philox4x64({ones, ones, ones, ones}, {ones, ones}),
            (Counter{0x87b092c3013fe90bU, 0x438c3c67be8d0224U, 0x9cc7d7c69cd777b6U, 0xa09caebf594f0ba0U}));
  // The digits of pi.
  EXPECT_EQ(philox4x64({0x243f6a8885a308d3U, 0x13198a2e03707344U, 0xa4093822299f31d0U, 0x082efa98ec4e6c89U},
                       {0x452821e638d01377U, 0xbe5466cf34e90c6cU}),
            (Counter{0xa528f45403e61d95U, 0x38c72dbd566e9788U, 0xa5a1610e72fd18b5U, 0x57bd43b5e52b7fe6U}));
}

TEST(Philox, UniformIsMadeFromTheFirstWord) {
  const std::uint64_t word = philox4x64({42, 3, 0, 0}, {7, static_cast<std::uint64_t>(RandomStream::points)})[0];
  EXPECT_EQ(random_uniform(7, RandomStream::points, 42, 3), (static_cast<double>(word >> 12U) + 0.5) * 0x1p-52);
}

TEST(Philox, NormalIsBoxAndMullerOfTheFirstTwoWords) {
  const auto words = philox4x64({5, 1, 0, 0}, {9, static_cast<std::uint64_t>(RandomStream::start_vector)});
  const double u = (static_cast<double>(words[0] >> 12U) + 0.5) * 0x1p-52;
  const double v = (static_cast<double>(words[1] >> 12U) + 0.5) * 0x1p-52;
  const double radius = std::sqrt(-2 * std::log(u));
  const double value = random_normal(9, RandomStream::start_vector, 5, 1);
  const double angle = 2 * 3.14159265358979323846 * v;
  EXPECT_TRUE(std::abs(value - radius * std::cos(angle)) < 1e-14 || std::abs(value - radius * std::sin(angle)) < 1e-14);
}

TEST(Philox, MomentsAreThoseOfTheLaw) {
  const int count = 20000;
  double mean_u = 0;
  double mean_n = 0;
  double square_n = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double u = random_uniform(1, RandomStream::points, i);
    const double n = random_normal(1, RandomStream::points, i, 1);
    ASSERT_GT(u, 0);
    ASSERT_LT(u, 1);
    mean_u += u / count;
    mean_n += n / count;
    square_n += n * n / count;
  }
  const double sigma = 1 / std::sqrt(count);  // five standard deviations each
  EXPECT_NEAR(mean_u, 0.5, 5 * sigma / std::sqrt(12.0));
  EXPECT_NEAR(mean_n, 0, 5 * sigma);
  EXPECT_NEAR(square_n, 1, 5 * sigma * std::sqrt(2.0));
}

TEST(Philox, StreamsSeedsAndNumbersDiffer) {
  const double base = random_uniform(1, RandomStream::points, 10, 2);
  EXPECT_NE(base, random_uniform(2, RandomStream::points, 10, 2));
  EXPECT_NE(base, random_uniform(1, RandomStream::centres, 10, 2));
  EXPECT_NE(base, random_uniform(1, RandomStream::points, 11, 2));
  EXPECT_NE(base, random_uniform(1, RandomStream::points, 10, 3));
  EXPECT_EQ(base, random_uniform(1, RandomStream::points, 10, 2));
}

}  // namespace
}  // namespace flashring::test
