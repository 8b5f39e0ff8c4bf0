// Sequences of a block: those that meet give what each pair of them gives by itself, to the bit.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/ring.hpp"
#include "support/fake_device.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr int features = 3;
constexpr int columns = 3;

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

/// Own sums of sequences [from, from + own_count), local row after local row.
std::vector<double> sums_of_sequences(const std::string &name, int own_count, int visiting_count, int from) {
  const Backend &backend = backend_named(name);
  const TileShape shape{parse_pair("matern32:ell=1.1"), RowKind::sum, 0, Precision::fp64, features, columns, {}};
  const RowPartition own_rows = RowPartition::contiguous(291, world().size());
  const RowPartition source_rows = RowPartition::contiguous(170, world().size());
  const auto transport = make_transport("auto", world(), backend.device);
  Ring ring(world(), *transport, backend, {});
  TileBlock own(backend, shape, own_rows, world().rank(), {own_count}, numbers(own_rows, from, features));
  const int met = from / 2;  // two own sequences meet each of the others
  TileBlock sources(backend, shape, source_rows, world().rank(), {visiting_count},
                    numbers(source_rows, 100 + met, features));
  sources.set_columns(columns, numbers(source_rows, 200 + met, columns));
  ring.run(shape, Sides::own, own, sources);
  std::vector<double> rows;
  own.finish(shape.row, columns, [&](LocalRow, std::int64_t count, const double *answers, std::int64_t stride) {
    for (std::int64_t i = 0; i < count; ++i)
      for (int c = 0; c < columns; ++c) rows.push_back(answers[c * stride + i]);
  });
  return rows;
}

TEST(Sequences, AreProblemsOfTheirOwn) {
  for (const char *name : {"ref", "device"}) {
    SCOPED_TRACE(name);
    const std::vector<double> together = sums_of_sequences(name, 4, 2, 0);
    std::vector<double> apart;
    for (int s = 0; s < 4; ++s) {
      const std::vector<double> one = sums_of_sequences(name, 1, 1, s);
      apart.insert(apart.end(), one.begin(), one.end());
    }
    EXPECT_EQ(together, apart);
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
