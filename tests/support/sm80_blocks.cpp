#include "support/sm80_blocks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace flashring::test {
namespace {

std::string name_of(RowKind row, Precision precision, int columns, Sides sides) {
  return std::string(row_rule(row).name) + (precision == Precision::fp64 ? " fp64" : " fp32") +
         " columns=" + std::to_string(columns) + " sides=" + std::to_string(static_cast<int>(sides));
}

/// `most` answers for more columns.
double compare(const TileArrays &arrays, const Bounded &most) {
  const std::vector<double> value = arrays.finish();
  const Bounded expected = first_columns(most, value.size());
  EXPECT_EQ(outside(value, expected), "");
  return worst_ratio(value, expected);
}

}  // namespace

Blocks::Blocks(const std::string &pair_text, const TileShape &of, const std::vector<int> &own_counts,
               const std::vector<int> &visiting_counts, std::int64_t own_first, std::int64_t visiting_first)
    : text(pair_text),
      shape(of),
      own_points(random_points(total_rows(own_counts), of.features, 11)),
      visiting_points(random_points(total_rows(visiting_counts), of.features, 12)) {
  // Some points coincide: distances of exactly 0 must stay harmless.
  std::copy_n(own_points.row(3), of.features, visiting_points.rows.begin());
  own_values = random_numbers(own_points.count() * static_cast<std::size_t>(of.columns), 13);
  visiting_values = random_numbers(visiting_points.count() * static_cast<std::size_t>(of.columns), 14);
  own_weights = random_numbers(own_points.count(), 15);
  visiting_weights = random_numbers(visiting_points.count(), 16);
  own_tiles = make_tile_list(own_first, own_counts);
  visiting_tiles = make_tile_list(visiting_first, visiting_counts);
  table = make_table(oracle_pair(text), own_points, visiting_points);
  const TileArrays own = arrays(true);
  const TileArrays visiting = arrays(false);
  hide(table, own.global_rows(), visiting.global_rows(), of.mask.causal, of.mask.exclude_self);
}

TileArrays Blocks::arrays(bool own) const {
  TileArrays side(sm80_table(variant), shape, own ? own_points : visiting_points, own ? own_tiles : visiting_tiles);
  if (shape.columns > 0) side.set_columns(own ? own_values : visiting_values);
  if (row_rule(shape.row).scalars > 0) side.set_log_weights(own ? own_weights : visiting_weights);
  return side;
}

void Blocks::keep(PairPattern pattern, const std::uint64_t *kept) {
  test::keep(table, own_tiles, visiting_tiles, pattern, kept);
}

void Blocks::make_square() {
  visiting_points = own_points;
  visiting_tiles = own_tiles;
  visiting_values = own_values;
  visiting_weights = own_weights;
  table = make_table(oracle_pair(text), own_points, own_points);
  const std::vector<std::int64_t> rows = arrays(true).global_rows();
  hide(table, rows, rows, shape.mask.causal, shape.mask.exclude_self);
}

Bounded Blocks::expected(bool own) const {
  const PairTable seen = own ? table : transposed(table);
  const std::vector<double> &values = own ? visiting_values : own_values;
  const Arithmetic a = arithmetic(shape.precision, sm80::tile_rows);
  if (shape.row == RowKind::sum) return oracle_sum(seen, values, shape.columns, a);
  if (shape.row == RowKind::difference_product)
    return oracle_differences(seen, own ? visiting_weights : own_weights, values, own ? own_values : visiting_values,
                              shape.columns, a);
  return oracle_log_sum_exp(seen, own ? visiting_weights : own_weights, values, shape.columns, a);
}

BlockCall make_call(const TileShape &shape, TileArrays &own, TileArrays &visiting, PairPattern pattern, Sides sides) {
  BlockCall call;
  call.shape = shape;
  call.own = own.side();
  call.visiting = visiting.side();
  call.own_tiles = static_cast<std::int32_t>(own.tiles().size());
  call.visiting_tiles = static_cast<std::int32_t>(visiting.tiles().size());
  call.pattern = pattern;
  call.sides = sides;
  return call;
}

void check_sides(Blocks blocks, int columns, const Answers &answers, Sides sides, sm80::Variant variant) {
  blocks.shape.columns = columns;
  const std::string name = name_of(blocks.shape.row, blocks.shape.precision, columns, sides);
  SCOPED_TRACE(name);
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  const auto own_before = own.state().copy();
  const auto visiting_before = visiting.state().copy();
  emulate(make_call(blocks.shape, own, visiting, PairPattern::rectangle, sides),
          {variant, {}, CudaBlock::Order::forward});
  double worst = 0;
  if (has_own(sides))
    worst = std::max(worst, compare(own, answers.own));
  else
    EXPECT_EQ(own.state().copy(), own_before) << "the own state was touched";
  if (has_visiting(sides))
    worst = std::max(worst, compare(visiting, answers.visiting));
  else
    EXPECT_EQ(visiting.state().copy(), visiting_before) << "the visiting state was touched";
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr) std::printf("ratio %.3f %s\n", worst, name.c_str());
}

}  // namespace flashring::test
