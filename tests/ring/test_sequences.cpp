// Sequences of a block: those that meet give what each pair of them gives by itself, to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "flashring/ring.hpp"
#include "support/fake_device.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr int features = 3;
constexpr int columns = 5;  // more than features

/// Numbers that differ from sequence to sequence, `first_sequence` being the number of the first one.
RowReader numbers(const RowPartition &partition, int first_sequence, int width) {
  return [=, rows = partition.local_rows(world().rank())](LocalRow first, std::int64_t count, double *to) {
    for (std::int64_t i = 0; i < count; ++i)
      for (int c = 0; c < width; ++c) {
        const std::int64_t local = first.value + i;
        const GlobalRow row = partition.global_row(world().rank(), LocalRow{local % rows});
        const auto sequence = static_cast<double>(first_sequence + local / rows);
        *to++ = std::sin(static_cast<double>(1 + row.value) * (c + 1) + 10 * sequence);
      }
  };
}

struct Found {
  std::vector<double> rows;
  std::vector<std::vector<std::uint64_t>> touched;  // as in TileBits
};

std::size_t all_tiles_of(const RowPartition &partition, const Backend &backend) {
  std::int64_t tiles = 0;
  for (int r = 0; r < world().size(); ++r) tiles += count_tiles(partition, r, backend.tile_rows);
  return static_cast<std::size_t>(tiles);
}

/// Own rows have numbers of their own, of which bins become narrow; their columns are read, too.
void set_numbers(TileBlock &own, int count, const RowPartition &own_rows, int from) {
  own.set_columns(columns, numbers(own_rows, 300 + from, columns));
  const std::int64_t rows = own.local_rows();
  std::vector<double> of_rows(static_cast<std::size_t>(2 * rows));  // (rows, 2) column-major
  numbers(own_rows, 400 + from, 1)(LocalRow{0}, rows, of_rows.data());
  numbers(own_rows, 500 + from, 1)(LocalRow{0}, rows, of_rows.data() + rows);
  for (double &number : of_rows) number += 40;
  own.set_pass_scalars({of_rows.data(), rows, count}, 0);
}

/// Log weights: the later keys of every second sequence weigh nearly nothing.
std::vector<double> far_keys(const TileBlock &sources, const RowPartition &partition, int first_sequence) {
  const std::int64_t rows = partition.local_rows(world().rank());
  std::vector<double> weights(static_cast<std::size_t>(sources.local_rows()), 0.0);
  for (std::int64_t i = 0; i < sources.local_rows(); ++i)
    if ((first_sequence + i / rows) % 2 == 0 && partition.global_row(world().rank(), LocalRow{i % rows}).value >= 85)
      weights[static_cast<std::size_t>(i)] = -30;
  return weights;
}

/// All pairs of tiles of own sequence `only`, none of the others.
TileBits bits_of_sequence(int only, int own_count, const TileBlock &own, const RowPartition &source_rows) {
  const std::size_t tiles = own.tiles().size() / static_cast<std::size_t>(own_count);
  TileBits bits;
  for (int step = 0; step < world().size(); ++step) {
    const int owner = (world().rank() + step) % world().size();
    const auto words = static_cast<std::size_t>(kept_words(count_tiles(source_rows, owner, own.tile_rows())));
    std::vector<std::uint64_t> &of_step = bits.steps.emplace_back(own.tiles().size() * words, 0);
    const auto first = of_step.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(only) * tiles * words);
    std::fill_n(first, tiles * words, ~std::uint64_t{0});
  }
  return bits;
}

/// Answers of sequences [from, from + own_count), local row after local row: of weights, of a rule whose columns are
/// those of both sides, or of one that notes pairs of tiles. `only`: all pairs but those of this sequence are left out.
Found answers_of_sequences(const std::string &name, RowKind row, int own_count, int visiting_count, int from,
                           int only = -1) {
  const Backend &backend = backend_named(name);
  const RowRule &rule = row_rule(row);
  const char *pair = rule.own_scalars > 0 ? "inner_exp:s=0.3" : "matern32:ell=1.1";
  const TileShape shape{parse_pair(pair), row, 0, Precision::fp64, features, columns, {}};
  const RowPartition own_rows = RowPartition::contiguous(291, world().size());
  const RowPartition source_rows = RowPartition::contiguous(170, world().size());
  const auto transport = make_transport("auto", world(), backend.device);
  Ring ring(world(), *transport, backend, {});
  TileBlock own(backend, shape, own_rows, world().rank(), {own_count}, numbers(own_rows, from, features));
  const int met = from / 2;  // two own sequences meet each of the others
  TileBlock sources(backend, shape, source_rows, world().rank(), {visiting_count},
                    numbers(source_rows, 100 + met, features));
  sources.set_columns(columns, numbers(source_rows, 200 + met, columns));
  if (rule.own_scalars > 0) {
    set_numbers(own, rule.own_scalars, own_rows, from);
    sources.set_pass_scalars(far_keys(sources, source_rows, met), -INFINITY);
  }
  TileBits touched;
  TileBits kept;
  if (only >= 0) kept = bits_of_sequence(only, own_count, own, source_rows);
  const PassReport report = ring.run(shape, Sides::own, own, sources, {only >= 0 ? &kept : nullptr, &touched});
  const std::size_t tiles = own.tiles().size() / static_cast<std::size_t>(only >= 0 ? own_count : 1);
  EXPECT_EQ(report.tile_pairs, static_cast<double>(tiles * all_tiles_of(source_rows, backend)));
  Found found{{}, touched.steps};
  own.finish(shape.row, columns, [&](LocalRow, std::int64_t count, const double *answers, std::int64_t stride) {
    for (std::int64_t i = 0; i < count; ++i)
      for (int c = 0; c < rule.outputs(columns); ++c) found.rows.push_back(answers[c * stride + i]);
  });
  return found;
}

TEST(Sequences, AreProblemsOfTheirOwn) {
  for (const RowKind row : {RowKind::sum, RowKind::softmax_gradient, RowKind::score_bins})
    for (const char *name : {"ref", "device"}) {
      SCOPED_TRACE(std::string(name) + " " + row_rule(row).name);
      const Found together = answers_of_sequences(name, row, 4, 2, 0);
      Found apart;
      apart.touched.resize(together.touched.size());
      for (int s = 0; s < 4; ++s) {
        const Found one = answers_of_sequences(name, row, 1, 1, s);
        apart.rows.insert(apart.rows.end(), one.rows.begin(), one.rows.end());
        for (std::size_t step = 0; step < one.touched.size(); ++step)
          apart.touched[step].insert(apart.touched[step].end(), one.touched[step].begin(), one.touched[step].end());
      }
      EXPECT_EQ(together.rows, apart.rows);
      EXPECT_EQ(together.touched, apart.touched);
      if (row != RowKind::score_bins || world().size() > 1) continue;
      EXPECT_NE(std::set(together.touched[0].begin(), together.touched[0].end()).size(), 1U) << "all bits are alike";
    }
}

TEST(Sequences, PairsThatAreLeftOutAddNothing) {
  for (const char *name : {"ref", "device"}) {
    SCOPED_TRACE(name);
    Found all = answers_of_sequences(name, RowKind::sum, 4, 2, 0);
    const std::size_t rows = all.rows.size() / 4;
    for (std::size_t n = 0; n < all.rows.size(); ++n)
      if (n / rows != 2) all.rows[n] = 0;
    EXPECT_EQ(answers_of_sequences(name, RowKind::sum, 4, 2, 0, 2).rows, all.rows);
  }
}

/// A tile whose sources all have the log weight -infinity adds nothing to a state, not even a rounding.
TEST(Sequences, TilesThatWeighNothingMayBeLeftOut) {
  const Backend &backend = find_backend("simd");
  const TileShape shape{{PairKind::inner_exp, {1, 0}}, RowKind::logsumexp, 0, Precision::fp32, features, columns, {}};
  const auto ranks = static_cast<std::size_t>(world().size());
  const RowPartition rows = RowPartition::contiguous(2 * backend.tile_rows * world().size(), world().size());
  const auto transport = make_transport("auto", world());
  Ring ring(world(), *transport, backend, {});
  TileBlock own(backend, shape, rows, world().rank(), {}, numbers(rows, 0, features));
  TileBlock sources(backend, shape, rows, world().rank(), {}, numbers(rows, 1, features));
  sources.set_columns(columns, numbers(rows, 2, columns));
  std::vector<double> weights(static_cast<std::size_t>(sources.local_rows()), 0.0);
  std::fill(weights.begin(), weights.begin() + backend.tile_rows, -HUGE_VAL);
  sources.set_pass_scalars(weights, -HUGE_VAL);
  const auto states = [&] {
    return std::vector<std::byte>(own.state().data(), own.state().data() + own.state().size());
  };
  ring.run(shape, Sides::own, own, sources);
  const std::vector<std::byte> all = states();
  TileBits second_alone;
  second_alone.steps.assign(ranks, std::vector<std::uint64_t>(2, 2));  // of both own tiles
  const PassReport report = ring.run(shape, Sides::own, own, sources, {&second_alone, nullptr});
  EXPECT_EQ(states(), all);
  EXPECT_EQ(report.tile_pairs, 2.0 * static_cast<double>(ranks));
  EXPECT_EQ(report.tile_pairs_skipped, 2.0 * static_cast<double>(ranks));
}

}  // namespace
}  // namespace flashring::test
