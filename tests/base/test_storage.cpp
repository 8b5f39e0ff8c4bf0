// Conversions between storages.
#include "flashring/storage.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace flashring::test {
namespace {

using Numbers = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(Storage, SixteenBitNumbersSurviveAndRoundToEven) {
  for (const Storage storage : {Storage::bf16, Storage::fp16}) {
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const auto word = static_cast<std::uint16_t>(bits);
      float value = 0;
      load_numbers(&word, storage, 0, 1, 1, &value);
      std::uint16_t back = 0;
      store_numbers(&value, 1, &back, storage, 0, 1);
      ASSERT_TRUE(std::isnan(value) || back == word) << storage_name(storage) << " " << bits;
    }
    const float unit = storage == Storage::bf16 ? 0x1p-7F : 0x1p-10F;  // of 1 ... 2
    const std::vector<float> between = {1 + unit / 2, 1 + 3 * unit / 2, 1 + unit * 0.51F, -(1 + unit / 2)};
    std::vector<std::uint16_t> stored(4);
    store_numbers(between.data(), 4, stored.data(), storage, 0, 1);
    Numbers rounded(4);
    load_numbers(stored.data(), storage, 0, 1, 4, rounded.data());
    EXPECT_EQ(rounded, (Numbers{1, 1 + 2 * unit, 1 + unit, -1})) << storage_name(storage);
  }
  const std::vector<float> large = {65519, 65520, 0x1p-25F, 0x1.8p-24F};
  std::vector<std::uint16_t> stored(4);
  store_numbers(large.data(), 4, stored.data(), Storage::fp16, 0, 1);
  Numbers back(4);
  load_numbers(stored.data(), Storage::fp16, 0, 1, 4, back.data());
  EXPECT_EQ(back, (Numbers{65504, infinity, 0, 0x1p-23}));
}

}  // namespace
}  // namespace flashring::test
