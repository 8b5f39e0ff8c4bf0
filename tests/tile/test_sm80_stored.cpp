// Rows of a caller's arrays and tiles (kernels/sm80/stored_rows.hpp), on fibers, against the host's conversions and
// packing, bit for bit.
#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "flashring/row.hpp"
#include "sm80/pack.hpp"
#include "sm80/stored_rows.hpp"
#include "support/cuda_block.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

using sm80::Variant;

constexpr int T = sm80::tile_rows;
constexpr std::array tile_counts = {T, 5, 77};
constexpr std::array storages = {Storage::fp64, Storage::fp32, Storage::bf16, Storage::fp16};
constexpr std::int64_t all_rows = T + 5 + 77;

/// An array (rows, width) in a storage, and its numbers.
struct Array {
  Array(std::int64_t columns, Storage kind, std::uint64_t seed)
      : width(columns), storage(kind), bytes(static_cast<std::size_t>(all_rows * columns) * storage_bytes(kind)) {
    const std::vector<double> drawn = random_numbers(static_cast<std::size_t>(all_rows * width), seed);
    store_numbers(drawn.data(), all_rows * width, bytes.data(), storage, 0, 1);
  }
  StoredRows<const std::byte> part(int first, int count) const { return {bytes.data(), storage, width, first, count}; }
  void set(std::int64_t row, std::int64_t column, double value) {
    store_numbers(&value, 1, bytes.data(), storage, row * width + column, 1);
  }
  double at(std::int64_t row, std::int64_t column) const {
    double value = 0;
    load_numbers(bytes.data(), storage, row * width + column, 1, 1, &value);
    return value;
  }
  std::int64_t width;
  Storage storage;
  std::vector<std::byte> bytes;
};

struct Tiles {
  Tiles() {
    for (const int count : tile_counts) offsets.push_back(offsets.back() + count);
  }
  RowMap map() const { return {static_cast<std::int64_t>(tile_counts.size()), offsets.data(), nullptr}; }
  std::vector<std::int64_t> offsets{0};
};

template <class Body>
void run_blocks(Body body) {
  CudaBlock block(T, CudaBlock::Order::shuffled);
  for (int b = 0; b < static_cast<int>(tile_counts.size()); ++b)
    block.run(b, sm80::stage_numbers * sizeof(double), body);
}

TileShape shape_of(Precision precision, int features) {
  return {{PairKind::inner_exp, {0.3, 0}}, RowKind::logsumexp, 0, precision, features, 0, {}};
}

/// What Device::pack_stored launches.
template <Variant variant>
std::vector<std::byte> packed(const TileShape &shape, const Array &array, int first, std::vector<std::int32_t> &wrong) {
  const Tiles tiles;
  const double scale = feature_scale(shape.pair);
  const StoredRows<const std::byte> from = array.part(first, shape.features);
  std::vector<std::byte> payload(tile_counts.size() * sm80::payload_bytes<variant>(shape), std::byte{0xff});
  run_blocks([&](CudaThread &t) {
    if (sm80::takes_pieces(variant, shape))
      return sm80::pack_stored_pieces(t, tiles.map(), sm80::layout_of(shape), from, scale, wrong.data(),
                                      payload.data());
    if (shape.precision == Precision::fp64)
      return sm80::place_stored(t, tiles.map(), shape.features, 0, from, scale, wrong.data(),
                                reinterpret_cast<double *>(payload.data()));
    sm80::place_stored(t, tiles.map(), shape.features, 0, from, scale, wrong.data(),
                       reinterpret_cast<float *>(payload.data()));
  });
  return payload;
}

/// Backend::pack's.
template <Variant variant>
std::vector<std::byte> expected_payload(const TileShape &shape, const Array &array, int first) {
  const std::size_t bytes = sm80::payload_bytes<variant>(shape);
  std::vector<std::byte> payload(tile_counts.size() * bytes, std::byte{0xff});
  std::int64_t row = 0;
  for (std::size_t t = 0; t < tile_counts.size(); ++t) {
    std::vector<double> rows;
    for (int i = 0; i < tile_counts[t]; ++i, ++row)
      for (int k = 0; k < shape.features; ++k) rows.push_back(array.at(row, first + k));
    sm80::pack<variant>(shape, {rows.data(), tile_counts[t], nullptr, feature_scale(shape.pair)},
                        payload.data() + t * bytes);
  }
  return payload;
}

template <Variant variant>
void check_packing(Precision precision, int features, Storage storage) {
  const Array array(features + 3, storage, 31);
  const TileShape shape = shape_of(precision, features);
  std::vector<std::int32_t> wrong(tile_counts.size(), -1);
  EXPECT_EQ(packed<variant>(shape, array, 2, wrong), expected_payload<variant>(shape, array, 2))
      << features << " features, " << storage_name(storage);
  EXPECT_EQ(wrong, (std::vector<std::int32_t>{0, 0, 0}));
}

/// Features as they are; pieces one after the other, and folded with few features; one piece.
TEST(Sm80Stored, PayloadsAreThoseOfTheHost) {
  for (const Storage storage : storages) {
    check_packing<Variant::plain>(Precision::fp64, 17, storage);
    check_packing<Variant::chosen>(Precision::fp32, 3, storage);
    check_packing<Variant::chosen>(Precision::fp32, 40, storage);
    check_packing<Variant::chosen>(Precision::reduced, 17, storage);
  }
  check_packing<Variant::tensor>(Precision::fp32, 5, Storage::fp32);
}

TEST(Sm80Stored, TilesWithANumberThatIsNotFiniteAreTold) {
  for (const Storage storage : {Storage::fp32, Storage::bf16})
    for (const double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
      for (const Variant variant : {Variant::plain, Variant::chosen}) {
        Array array(40, storage, 32);
        array.set(T + 4, 33, bad);  // the last row of the second tile
        array.set(T + 5, 39, bad);  // a column that is not read
        std::vector<std::int32_t> wrong(tile_counts.size(), -1);
        const TileShape shape = shape_of(Precision::fp32, 37);
        variant == Variant::plain ? packed<Variant::plain>(shape, array, 1, wrong)
                                  : packed<Variant::chosen>(shape, array, 1, wrong);
        EXPECT_EQ(wrong, (std::vector<std::int32_t>{0, 1, 0}));
      }
}

/// 20 columns of an array beside others of the tiles: two stages, the second ragged.
TEST(Sm80Stored, ColumnsAreThoseOfTheArray) {
  constexpr int columns = 23;
  const Tiles tiles;
  for (const Storage storage : storages) {
    const Array array(22, storage, 33);
    std::vector<float> placed(tile_counts.size() * columns * T, 7);
    std::vector<std::int32_t> wrong(tile_counts.size(), -1);
    run_blocks([&](CudaThread &t) {
      sm80::place_stored(t, tiles.map(), columns, 2, array.part(1, 20), 1, wrong.data(), placed.data());
    });
    std::int64_t row = 0;
    for (std::size_t t = 0; t < tile_counts.size(); ++t, row += tile_counts[t - 1])
      for (int c = 0; c < columns; ++c)
        for (int i = 0; i < T; ++i) {
          const double real = i < tile_counts[t] ? array.at(row + i, 1 + c - 2) : 0;
          const float expected = c < 2 || c == columns - 1 ? 7 : static_cast<float>(real);
          ASSERT_EQ(placed[(t * columns + static_cast<std::size_t>(c)) * T + static_cast<std::size_t>(i)], expected)
              << storage_name(storage) << ", tile " << t << ", column " << c << ", row " << i;
        }
  }
}

/// What the row rule finishes with, divided, times a factor, as the host stores it; the rest of the array stays.
template <RowKind row>
void check_answers(const StoredAnswers &answers, Storage storage) {
  constexpr int columns = 20;
  constexpr int count = 18;
  const Tiles tiles;
  const RowRule &rule = row_rule(row);
  const int words = rule.state_words(0, columns);
  const auto per_tile = static_cast<std::size_t>(words) * T;
  std::vector<double> states = random_numbers(tile_counts.size() * per_tile, 34);
  for (std::size_t i = 0; i < states.size(); i += 5) states[i] = 0;  // rows that saw nothing
  Array found(21, storage, 35);
  Array expected = found;
  const StoredRows<std::byte> to{found.bytes.data(), storage, found.width, 2, count};
  run_blocks([&](CudaThread &t) {
    sm80::take_stored<sm80::state_rule(row)>(t, tiles.map(), words, answers, states.data(), to);
  });
  std::vector<double> finished(static_cast<std::size_t>(rule.outputs(columns)) * T);
  const auto answer = [&](int n, int i) {
    return finished[static_cast<std::size_t>(n) * T + static_cast<std::size_t>(i)];
  };
  std::int64_t at = 0;
  for (std::size_t t = 0; t < tile_counts.size(); ++t) {
    rule.finish(columns, T, reinterpret_cast<const std::byte *>(states.data() + t * per_tile), finished.data());
    for (int i = 0; i < tile_counts[t]; ++i, ++at)
      for (int c = 0; c < count; ++c) {
        const double divisor = answers.divisor < 0 ? 1 : answer(answers.divisor, i);
        expected.set(at, 2 + c, divisor == 0 ? 0 : answer(answers.first + c, i) / divisor * answers.factor);
      }
  }
  EXPECT_EQ(found.bytes, expected.bytes) << rule.name << " " << storage_name(storage);
}

TEST(Sm80Stored, AnswersAreThoseOfTheRule) {
  for (const Storage storage : storages) {
    check_answers<RowKind::logsumexp>({1, -1, 1}, storage);
    check_answers<RowKind::threshold_sum>({3, 1, 1}, storage);
    check_answers<RowKind::softmax_gradient>({1, -1, 0.7}, storage);
  }
}

TEST(Sm80Stored, PlacesAtTenToTheEight) {
  const StoredRows<const std::byte> array{nullptr, Storage::fp32, 3000, 100, 2900};
  EXPECT_EQ(sm80::stored_place(array, {100'000'000 - T, T}, T - 1, 2899), 300'000'000'000 - 1);
}

TEST(Sm80Stored, ProductsOfRowsAreSummedInTheOrderOfColumns) {
  const Tiles tiles;
  for (const Storage storage : storages) {
    const Array a(19, storage, 36);
    const Array b(20, Storage::fp64, 37);
    std::vector<double> products(all_rows + 1, 7);
    run_blocks(
        [&](CudaThread &t) { sm80::multiply_stored(t, tiles.map(), a.part(0, 19), b.part(1, 19), products.data()); });
    for (std::int64_t row = 0; row < all_rows; ++row) {
      double sum = 0;
      for (int c = 0; c < 19; ++c) sum += a.at(row, c) * b.at(row, 1 + c);
      ASSERT_EQ(products[static_cast<std::size_t>(row)], sum) << row;
    }
    EXPECT_EQ(products.back(), 7);
  }
}

}  // namespace
}  // namespace flashring::test
