// Numbers of rows between vectors and tiles (kernels/sm80/rows.hpp), on fibers, against the plain loops of the
// contract.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "flashring/row.hpp"
#include "sm80/rows.hpp"
#include "support/cuda_block.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;
const std::vector<int> tile_counts = {T, 5, T, 1, 77};

struct Rows {
  Rows() {
    for (const int count : tile_counts) offsets.push_back(offsets.back() + count);
    values = random_numbers(static_cast<std::size_t>(offsets.back()), 21);
    scale = random_numbers(values.size(), 22);
  }
  RowMap map(bool scaled) const {
    return {static_cast<std::int64_t>(tile_counts.size()), offsets.data(), scaled ? scale.data() : nullptr};
  }
  std::vector<std::int64_t> offsets{0};
  std::vector<double> values, scale;
};

TEST(Sm80Rows, PlaceFillsOneColumnAndItsPadding) {
  const Rows rows;
  constexpr int columns = 3;
  for (const bool scaled : {false, true})
    for (const double padding : {0.0, -std::numeric_limits<double>::infinity()}) {
      std::vector<float> array(tile_counts.size() * columns * T, 7);
      CudaBlock block(T);
      for (int b = 0; b < static_cast<int>(tile_counts.size()); ++b)
        block.run(b, 0, [&](CudaThread &t) {
          sm80::place_rows(t, rows.map(scaled), columns, 1, rows.values.data(), padding, array.data());
        });
      std::size_t row = 0;
      for (std::size_t t = 0; t < tile_counts.size(); ++t)
        for (int i = 0; i < T; ++i) {
          const bool real = i < tile_counts[t];
          const double expected = !real ? padding : rows.values[row] * (scaled ? rows.scale[row] : 1);
          row += real ? 1 : 0;
          const std::size_t at = (t * columns + 1) * T + static_cast<std::size_t>(i);
          ASSERT_EQ(array[at], static_cast<float>(expected)) << t << " " << i;
          ASSERT_EQ(array[at - T], 7);
          ASSERT_EQ(array[at + T], 7);
        }
    }
}

template <RowKind row>
void check_answers() {
  const Rows rows;
  const RowRule &rule = row_rule(row);
  constexpr int columns = 2;
  const int words = rule.state_words(0, columns);
  const auto per_tile = static_cast<std::size_t>(words) * T;
  std::vector<double> states = random_numbers(tile_counts.size() * per_tile, 23);
  for (std::size_t i = 0; i < states.size(); i += 5) states[i] = 0;  // rows that saw nothing
  if (row != RowKind::sum)                                           // squares of distances, sums of exponentials
    for (double &word : states) word = std::abs(word);
  const auto outputs = static_cast<std::size_t>(rule.outputs(columns));
  std::vector<double> expected(outputs * T);
  for (std::size_t o = 0; o < outputs; ++o) {
    std::vector<double> found(rows.values.size() + 1, 7);
    CudaBlock block(T);
    for (int b = 0; b < static_cast<int>(tile_counts.size()); ++b)
      block.run(b, 0, [&](CudaThread &t) {
        sm80::take_rows<sm80::state_rule(row)>(t, rows.map(true), words, static_cast<int>(o), states.data(),
                                               found.data());
      });
    std::size_t at = 0;
    for (std::size_t t = 0; t < tile_counts.size(); ++t) {
      rule.finish(columns, T, reinterpret_cast<const std::byte *>(states.data() + t * per_tile), expected.data());
      for (int i = 0; i < tile_counts[t]; ++i, ++at) {
        const double wanted = expected[o * T + static_cast<std::size_t>(i)] * rows.scale[at];
        if (std::isinf(wanted))
          ASSERT_EQ(found[at], wanted);
        else
          ASSERT_NEAR(found[at], wanted, 4e-16 * (1 + std::abs(wanted)));
      }
    }
    EXPECT_EQ(found.back(), 7);
  }
}

TEST(Sm80Rows, TakeIsTheRulesFinish) {
  check_answers<RowKind::sum>();
  check_answers<RowKind::logsumexp>();
  check_answers<RowKind::top_k>();
  check_answers<RowKind::slope>();
}

}  // namespace
}  // namespace flashring::test
