// The index arithmetic of backend sm80 by brute force: every due pair in exactly one wave, slots that do not meet and
// stay inside the scratch, waves in a fixed order, and 64-bit offsets at N = 10^8.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "sm80/arguments.hpp"
#include "sm80/fold.hpp"

namespace flashring::sm80 {
namespace {

constexpr PairPattern patterns[] = {PairPattern::rectangle, PairPattern::square, PairPattern::even_half,
                                    PairPattern::odd_half};

/// Pairs of tiles that the waves with work hold, counted.
std::vector<int> covered(const Waves &waves, PairPattern pattern) {
  std::vector<int> count(static_cast<std::size_t>(waves.own_tiles * waves.visiting_tiles), 0);
  for (std::int64_t n = 0; n < waves.count(); ++n) {
    const Wave w = waves.at(n);
    EXPECT_GT(w.own_count, 0);
    EXPECT_GT(w.visiting_count, 0);
    if (!has_work(pattern, w)) continue;
    for (int i = 0; i < w.own_count; ++i)
      for (int j = 0; j < w.visiting_count; ++j)
        if (is_due(pattern, w.own_first + i, w.visiting_first + j))
          ++count[static_cast<std::size_t>((w.own_first + i) * waves.visiting_tiles + w.visiting_first + j)];
  }
  return count;
}

TEST(Sm80Waves, EveryDuePairOnce) {
  for (const PairPattern pattern : patterns)
    for (const int own : {0, 1, 2, 5, 7})
      for (const int visiting : {0, 1, 3, 6, 7})
        for (const int own_step : {1, 2, 3, 8})
          for (const int visiting_step : {1, 2, 5, 8}) {
            const std::vector<int> count = covered({own, visiting, own_step, visiting_step}, pattern);
            for (int i = 0; i < own; ++i)
              for (int j = 0; j < visiting; ++j)
                ASSERT_EQ(count[static_cast<std::size_t>(i * visiting + j)], is_due(pattern, i, j) ? 1 : 0);
          }
}

TEST(Sm80Waves, BitsOfKeptPairs) {
  constexpr int own = 5;
  for (const int visiting : {1, 63, 64, 65, 200}) {
    std::vector<std::uint64_t> kept(static_cast<std::size_t>(own * kept_words(visiting)), 0);
    std::set<std::pair<int, int>> listed;
    for (int n = 0; n < 40; ++n) {
      const int i = n * 7 % own;
      const int j = n * 31 % visiting;
      listed.insert({i, j});
      kept[static_cast<std::size_t>(i * kept_words(visiting) + j / 64)] |= std::uint64_t{1} << (j % 64);
    }
    for (int i = 0; i < own; ++i)
      for (int j = 0; j < visiting; ++j)
        ASSERT_EQ(is_kept(kept.data(), visiting, i, j), listed.count({i, j}) == 1) << i << " " << j;
  }
  EXPECT_TRUE(is_kept(nullptr, 10, 3, 9));
  // 10^8 rows: 781,250 tiles, rows of bits beyond 2^32 words.
  EXPECT_EQ(kept_words(781250) * 781249, 9537487792);
}

TEST(Sm80Waves, TilesOfAStateComeInRisingOrder) {
  const Waves waves{11, 13, 4, 3};
  std::vector<int> own_last(11, -1);
  std::vector<int> visiting_last(13, -1);
  for (std::int64_t n = 0; n < waves.count(); ++n) {
    const Wave w = waves.at(n);
    for (int i = w.own_first; i < w.own_first + w.own_count; ++i) {
      EXPECT_LT(own_last[static_cast<std::size_t>(i)], w.visiting_first);
      own_last[static_cast<std::size_t>(i)] = w.visiting_first + w.visiting_count - 1;
    }
    for (int j = w.visiting_first; j < w.visiting_first + w.visiting_count; ++j) {
      EXPECT_LT(visiting_last[static_cast<std::size_t>(j)], w.own_first);
      visiting_last[static_cast<std::size_t>(j)] = w.own_first + w.own_count - 1;
    }
  }
}

TEST(Sm80Waves, SlotsDoNotMeetAndStayInside) {
  for (int words = 0; words <= 2 + max_columns; ++words) {
    const std::int64_t room = static_cast<std::int64_t>(slot_bytes(words) / 8);
    EXPECT_EQ(room, tile_offset(std::int64_t{wave_own_tiles} * slots_per_own_tile(words), words));
    EXPECT_TRUE(slots_per_own_tile(words) == 1 || slot_bytes(words) <= slot_budget) << words;
    const Waves waves = make_waves(2000, 777, Sides::both, words);
    EXPECT_EQ(waves.own_step, wave_own_tiles);
    EXPECT_EQ(waves.visiting_step, slots_per_own_tile(words));
    for (const std::int64_t n : {std::int64_t{0}, waves.count() / 2, waves.count() - 1}) {
      const Wave w = waves.at(n);
      std::int64_t next = 0;  // slots follow each other, without a gap
      for (int i = 0; i < w.own_count; ++i)
        for (int j = 0; j < w.visiting_count; ++j) {
          ASSERT_EQ(slot_offset(w, i, j, words), next);
          next += std::int64_t{words} * tile_rows;
        }
      ASSERT_LE(next, room);
    }
  }
}

TEST(Sm80Waves, ScratchStaysNearItsBudget) {
  for (int words = 1; words <= 2 + max_columns; ++words) {
    EXPECT_GT(slot_bytes(words), slot_budget / 2) << words;
    EXPECT_LT(slot_bytes(words), slot_budget + slot_budget / 8) << words;
  }
}

TEST(Sm80Waves, OwnSideAloneIsOneWave) {
  const Waves waves = make_waves(781250, 3, Sides::own, 64);
  ASSERT_EQ(waves.count(), 1);
  EXPECT_EQ(waves.at(0).own_count, 781250);
  EXPECT_EQ(waves.at(0).visiting_count, 3);
  EXPECT_EQ(make_waves(0, 3, Sides::own, 1).count(), 0);
  EXPECT_EQ(make_waves(3, 0, Sides::both, 1).count(), 0);
}

TEST(Sm80Waves, OffsetsAtTenToTheEight) {
  constexpr std::int64_t tiles = (100'000'000 + tile_rows - 1) / tile_rows;
  static_assert(tiles == 781250);
  static_assert(tile_offset(tiles - 1, 512) == 51'199'934'464);  // (781250 - 1) * 512 * 128
  static_assert(tile_offset(tiles, 66) * 8 == 52'800'000'000);   // bytes of states
  const Waves waves = make_waves(tiles, tiles, Sides::both, 66);
  ASSERT_EQ(waves.count(), std::int64_t{1480} * tiles);  // more than 2^30
  const Wave last = waves.at(waves.count() - 1);
  EXPECT_EQ(last.own_first + last.own_count, tiles);
  EXPECT_EQ(last.own_first % wave_own_tiles, 0);
  EXPECT_EQ(last.visiting_first, tiles - 1);
  // Any pair is found again from its wave.
  for (const std::int64_t own : {std::int64_t{0}, tiles / 3, tiles - 1})
    for (const std::int64_t visiting : {std::int64_t{0}, tiles / 7, tiles - 1}) {
      const std::int64_t across = Waves::steps(tiles, waves.visiting_step);
      const Wave w = waves.at(own / waves.own_step * across + visiting / waves.visiting_step);
      EXPECT_LE(w.own_first, own);
      EXPECT_LT(own, w.own_first + w.own_count);
      EXPECT_LE(w.visiting_first, visiting);
      EXPECT_LT(visiting, w.visiting_first + w.visiting_count);
    }
  // Pointers, computed from numbers as the kernels do it.
  const auto *base = reinterpret_cast<const std::byte *>(std::uintptr_t{1} << 20U);
  const double *at = tile_values<double>(base, tiles - 1, 512);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) - (std::uintptr_t{1} << 20U), std::uintptr_t{51'199'934'464} * 8);
  EXPECT_EQ(tile_values<double>(nullptr, 5, 512), nullptr);
}

/// How often each tile of each side takes each tile of the other, (own, visiting) of the call, by brute force through
/// the sweeps that answer it.
struct Taken {
  std::vector<int> own, visiting;
};

Taken taken(const BlockCall &call) {
  const auto tiles = static_cast<std::size_t>(call.own_tiles * call.visiting_tiles);
  Taken of{std::vector<int>(tiles, 0), std::vector<int>(tiles, 0)};
  for_each_sweep(Variant::tensor, call, 3, [&](const WaveArguments &sweep, const Waves &waves) {
    const auto count = [&](const WaveArguments &a) {
      const bool own = a.own.state == call.own.state && a.own.tiles == call.own.tiles;
      for (int i = 0; i < a.wave.own_count; ++i)
        for (int j = 0; j < a.wave.visiting_count; ++j) {
          const int from = a.wave.own_first + i;
          const int to = a.wave.visiting_first + j;
          if (pair_visibility<true>(a, from, to) == Visibility::none) continue;
          const Sides sides = sides_of(a.pattern, a.sides, from, to);
          const auto asked = static_cast<std::size_t>(from * call.visiting_tiles + to);
          const auto exchanged = static_cast<std::size_t>(to * call.visiting_tiles + from);
          if (has_own(sides)) ++(own ? of.own[asked] : of.visiting[exchanged]);
          if (has_visiting(sides)) ++of.visiting[asked];
        }
    };
    for_each_wave(sweep, waves, count, [](const WaveArguments & /*a*/) {});
  });
  return of;
}

TEST(Sm80Sweeps, EachSideTakesItsPairsOnce) {
  const std::vector<TileInfo> own = {{GlobalRow{0}, 128}, {GlobalRow{128}, 128}, {GlobalRow{256}, 9}};
  const std::vector<TileInfo> visiting = {{GlobalRow{265}, 128}, {GlobalRow{393}, 128}};
  std::byte states[2] = {};
  const std::vector<std::uint64_t> skipping = {0b01, 0b10, 0b11};
  for (const RowKind row : {RowKind::sum, RowKind::logsumexp})
    for (const PairPattern pattern : {PairPattern::rectangle, PairPattern::even_half, PairPattern::odd_half})
      for (const Sides sides : {Sides::own, Sides::visiting, Sides::both})
        for (const std::uint64_t *kept : {static_cast<const std::uint64_t *>(nullptr), skipping.data()}) {
          BlockCall call;
          call.shape = {parse_pair("gaussian:beta=1"), row, 0, Precision::fp32, 9, 1, {}};
          call.own.tiles = own.data();
          call.own.state = &states[0];
          call.visiting.tiles = visiting.data();
          call.visiting.state = &states[1];
          call.own_tiles = 3;
          call.visiting_tiles = 2;
          call.pattern = pattern;
          call.sides = sides;
          call.kept = kept;
          const Taken of = taken(call);
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 2; ++j) {
              const int due = is_due(pattern, i, j) && is_kept(kept, 2, i, j) ? 1 : 0;
              const auto at = static_cast<std::size_t>(2 * i + j);
              EXPECT_EQ(of.own[at], has_own(sides) ? due : 0);
              EXPECT_EQ(of.visiting[at], has_visiting(sides) ? due : 0);
            }
        }
}

TEST(Sm80Sweeps, ASquareWithOneState) {
  const std::vector<TileInfo> tiles = {{GlobalRow{0}, 128}, {GlobalRow{128}, 128}, {GlobalRow{256}, 9}};
  std::byte state{};
  const std::vector<std::uint64_t> skipping = {0b101, 0b111, 0b011};
  for (const std::uint64_t *kept : {static_cast<const std::uint64_t *>(nullptr), skipping.data()})
    for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
      BlockCall call;
      call.shape = {parse_pair("gaussian:beta=1"), RowKind::logsumexp, 0, Precision::fp32, 9, 1, {}};
      call.own.tiles = tiles.data();
      call.own.state = &state;
      call.visiting = call.own;
      call.own_tiles = 3;
      call.visiting_tiles = 3;
      call.pattern = PairPattern::square;
      call.sides = sides;
      call.kept = kept;
      const Taken of = taken(call);
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          const bool asked = i == j || (i < j ? has_own(sides) : has_visiting(sides));
          const bool due = asked && is_kept(kept, 3, std::min(i, j), std::max(i, j));
          EXPECT_EQ(of.own[static_cast<std::size_t>(3 * i + j)], due ? 1 : 0) << i << " " << j;
        }
    }
}

TEST(Sm80Waves, ASquareGivesItsDiagonalToTheOwnSide) {
  EXPECT_EQ(sides_of(PairPattern::square, Sides::both, 4, 4), Sides::own);
  EXPECT_EQ(sides_of(PairPattern::square, Sides::both, 4, 5), Sides::both);
  EXPECT_EQ(sides_of(PairPattern::rectangle, Sides::visiting, 4, 4), Sides::visiting);
}

TEST(Sm80Shared, PartsDoNotMeetAndFitEveryDevice) {
  // 99 KB are what a block may have on the smallest device from compute capability 8.0 on (8.6, 8.9, 12.0).
  // Heads of any width take the same.
  constexpr std::size_t all = shared_values(Sides::both, RowKind::threshold_gradient, 2000);
  static_assert(all * sizeof(double) <= std::size_t{99} << 10);
  std::vector<double> memory(all);
  const Shared<double> s = cut_shared<double>(reinterpret_cast<std::byte *>(memory.data()));
  const std::pair<const double *, std::ptrdiff_t> parts[] = {{s.features, feature_chunk * piece_rows},
                                                             {s.visiting_columns, column_chunk * piece_rows},
                                                             {s.shifts, piece_rows},
                                                             {s.weights, tile_rows * weight_stride},
                                                             {s.own_columns, column_chunk * tile_rows},
                                                             {s.partial, warps * column_chunk * warp_rows},
                                                             {s.others, tile_rows * weight_stride}};
  const double *next = memory.data();
  for (const auto &[begin, size] : parts) {
    EXPECT_EQ(begin, next);
    // Loads of 16 bytes begin at rows of columns and features.
    EXPECT_EQ((begin - memory.data()) * static_cast<std::ptrdiff_t>(sizeof(float)) % 16, 0);
    next += size;
  }
  EXPECT_EQ(next, memory.data() + memory.size());
  const auto size = [](Sides sides, int values) { return static_cast<std::ptrdiff_t>(shared_values(sides, values)); };
  EXPECT_EQ(s.weights - memory.data(), size(Sides::own, register_values));
  EXPECT_EQ(s.own_columns - memory.data(), size(Sides::own, register_values + 1));
  EXPECT_EQ(size(Sides::visiting, 1), size(Sides::both, 64));
  EXPECT_EQ(s.others - memory.data(), size(Sides::both, 1));
  EXPECT_EQ(shared_values(Sides::own, RowKind::threshold_sum, 0), all);
}

TEST(Sm80Shared, WeightsTurnWithoutMeetingABankTwice) {
  // 32 banks of 4 bytes; 8-byte numbers are served half a warp at a time, over 16 pairs of banks.
  for (const int lanes : {32, 16})
    for (int fixed = 0; fixed < warp_rows; ++fixed) {
      std::set<int> written;
      std::set<int> read;
      for (int lane = 0; lane < lanes; ++lane) {
        written.insert((lane * weight_stride + fixed) % lanes);
        read.insert((fixed * weight_stride + lane) % lanes);
      }
      EXPECT_EQ(written.size(), static_cast<std::size_t>(lanes));
      EXPECT_EQ(read.size(), static_cast<std::size_t>(lanes));
    }
}

}  // namespace
}  // namespace flashring::sm80
