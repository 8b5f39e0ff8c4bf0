#include "gpu/blocks.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>

#include "flashring/options.hpp"
#include "support/scatter.hpp"
#include "support/stated.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

/// Streams of random numbers of a run.
enum Stream : std::uint64_t {
  own_points = 1,
  visiting_points,
  own_values,
  visiting_values,
  own_weights,
  visiting_weights
};
std::uint64_t seed_of(Stream stream) { return run_seed() * 16 + stream; }

std::vector<std::int64_t> rows_of(const std::vector<TileInfo> &tiles) {
  std::vector<std::int64_t> rows;
  for (const TileInfo &tile : tiles)
    for (int i = 0; i < tile.rows; ++i) rows.push_back(tile.first.value + i);
  return rows;
}

}  // namespace

std::vector<std::string> device_names() {
  std::vector<std::string> names;
  for (const std::string &name : backends_to_test())
    if (find_backend(name).device != nullptr) names.push_back(name);
  if (names.empty() && std::getenv("FLASHRING_TEST_NEEDS_GPU") == nullptr) names.emplace_back("device");
  return names;
}

std::uint64_t run_seed() {
  static const std::uint64_t seed = [] {
    const char *text = std::getenv("FLASHRING_TEST_SEED");
    const std::uint64_t chosen = text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device()();
    std::printf("FLASHRING_TEST_SEED=%llu gives the same points again\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return seed;
}

std::string name_of(const TileShape &shape) {
  return to_string(shape.pair) + " " + row_rule(shape.row).name + " " + to_string(shape.precision) +
         " d=" + std::to_string(shape.features) + " columns=" + std::to_string(shape.columns);
}

Blocks::Blocks(const Backend &of, const std::string &text, const TileShape &with, const Cut &cut)
    : backend(of),
      shape(with),
      text_(text),
      own_tiles_(make_tile_list(cut.own_first, cut.own)),
      visiting_tiles_(make_tile_list(cut.visiting_first, cut.visiting)),
      own_points_(random_points(total_rows(cut.own), with.features, seed_of(own_points))),
      visiting_points_(random_points(total_rows(cut.visiting), with.features, seed_of(visiting_points))),
      own_values_(random_numbers(own_points_.count() * static_cast<std::size_t>(with.columns), seed_of(own_values))),
      visiting_values_(
          random_numbers(visiting_points_.count() * static_cast<std::size_t>(with.columns), seed_of(visiting_values))),
      own_weights_(random_numbers(own_points_.count(), seed_of(own_weights))),
      visiting_weights_(random_numbers(visiting_points_.count(), seed_of(visiting_weights))) {
  const std::size_t same = std::min<std::size_t>(3, own_points_.count() - 1);
  std::copy_n(own_points_.row(same), with.features, visiting_points_.rows.begin());
  make_tables();
}

void Blocks::make_tables() {
  const OraclePair pair = oracle_pair(text_);
  table_ = make_table(pair, own_points_, visiting_points_);
  const auto shift = static_cast<Real>(pair.inner() ? shape.pair.parameters[1] : 0);
  for (Real &log_weight : table_.log_weight) log_weight -= shift;
  if (shape.precision == Precision::reduced)
    table_ = with_stated_errors(table_, pair, tile_norms(own_points_, own_tiles_),
                                tile_norms(visiting_points_, visiting_tiles_), backend.error(shape),
                                unit_roundoff(shape.precision));
  hide(table_, rows_of(own_tiles_), rows_of(visiting_tiles_), shape.mask.causal, shape.mask.exclude_self);
}

void Blocks::make_square() {
  visiting_tiles_ = own_tiles_;
  visiting_points_ = own_points_;
  visiting_values_ = own_values_;
  visiting_weights_ = own_weights_;
  make_tables();
}

void Blocks::keep(PairPattern pattern, const Kept &kept) {
  test::keep(table_, own_tiles_, visiting_tiles_, pattern, kept.empty() ? nullptr : kept.data());
}

void Blocks::shift_points(double offset) {
  for (double &x : own_points_.rows) x += offset;
  for (double &x : visiting_points_.rows) x += offset;
  make_tables();
}

void Blocks::scale_log_weights(double factor) {
  for (double &g : own_weights_) g *= factor;
  for (double &g : visiting_weights_) g *= factor;
}

void Blocks::hide_visiting_rows() {
  for (std::size_t j = 0; j < visiting_weights_.size(); j += 2)
    visiting_weights_[j] = -std::numeric_limits<double>::infinity();
}

TileArrays Blocks::arrays(bool own) const {
  TileArrays side(backend, shape, own ? own_points_ : visiting_points_, own ? own_tiles_ : visiting_tiles_);
  if (shape.columns > 0) side.set_columns(own ? own_values_ : visiting_values_);
  if (row_rule(shape.row).scalars > 0) side.set_log_weights(own ? own_weights_ : visiting_weights_);
  return side;
}

Bounded Blocks::expected(bool own) const {
  const PairTable seen = own ? table_ : transposed(table_);
  const std::vector<double> &values = own ? visiting_values_ : own_values_;
  const Arithmetic a = arithmetic(shape.precision, backend.tile_rows);
  if (shape.row == RowKind::sum) return oracle_sum(seen, values, shape.columns, a);
  if (shape.row == RowKind::difference_product)
    return oracle_differences(seen, own ? visiting_weights_ : own_weights_, values,
                              own ? own_values_ : visiting_values_, shape.columns, a);
  return oracle_log_sum_exp(seen, own ? visiting_weights_ : own_weights_, values, shape.columns, a);
}

}  // namespace flashring::test
