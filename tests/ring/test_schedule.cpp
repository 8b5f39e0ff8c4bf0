// The schedule: which rank evaluates which pair of tiles. Checked over all ranks at once, without any communication.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "flashring/ring.hpp"

namespace flashring::test {
namespace {

constexpr int tile_rows = 4;

/// A tile by its first global row.
using TileKey = std::int64_t;

struct Entry {
  TileInfo own, visiting;
  TilePair pair;
  int rank = 0;
};

/// Every listed pair of every rank.
std::vector<Entry> all_entries(const RowPartition &own, const RowPartition &visiting, Sides sides, bool square,
                               const Mask &mask = {}) {
  std::vector<Entry> entries;
  int visits = 0;
  for (int rank = 0; rank < own.ranks(); ++rank) {
    const std::vector<TileInfo> mine = make_tiles(own, rank, tile_rows);
    const Schedule schedule{own, visiting, rank, tile_rows, sides, square, mask, 4};
    EXPECT_EQ(schedule.visit(0).owner, rank) << "a rank starts with its own block";
    if (rank == 0) visits = schedule.steps();
    EXPECT_EQ(schedule.steps(), visits) << "ranks must take as many steps as each other";
    for (int step = 0; step < schedule.steps(); ++step) {
      const Visit visit = schedule.visit(step);
      const std::vector<TileInfo> theirs = make_tiles(visiting, visit.owner, tile_rows);
      for (auto at = visit.pairs.begin(); at != visit.pairs.end(); ++at) {
        const TilePair pair = *at;
        entries.push_back({mine.at(static_cast<std::size_t>(pair.own)),
                           theirs.at(static_cast<std::size_t>(pair.visiting)), pair, rank});
      }
    }
  }
  return entries;
}

std::vector<TileInfo> tiles_of_all(const RowPartition &partition) {
  std::vector<TileInfo> tiles;
  for (int rank = 0; rank < partition.ranks(); ++rank)
    for (const TileInfo &tile : make_tiles(partition, rank, tile_rows)) tiles.push_back(tile);
  return tiles;
}

/// How often row tile `first` of the pair receives from the second.
using Coverage = std::map<std::pair<TileKey, TileKey>, int>;

void expect_once(const Coverage &coverage, const std::vector<TileInfo> &receiving,
                 const std::vector<TileInfo> &giving) {
  EXPECT_EQ(coverage.size(), receiving.size() * giving.size());
  for (const TileInfo &a : receiving)
    for (const TileInfo &b : giving) {
      const auto found = coverage.find({a.first.value, b.first.value});
      ASSERT_NE(found, coverage.end()) << "tile at " << a.first.value << " never sees " << b.first.value;
      ASSERT_EQ(found->second, 1) << "tile at " << a.first.value << " and " << b.first.value;
    }
}

/// Partitions of every kind for up to 7 ranks.
std::vector<RowPartition> many_partitions() {
  std::vector<RowPartition> list;
  for (int ranks = 1; ranks <= 7; ++ranks) {
    for (const std::int64_t rows : {0, 1, 3, 4, 29, 57, 112}) {
      list.push_back(RowPartition::contiguous(rows, ranks));
      list.push_back(RowPartition::zigzag(rows, ranks));
    }
    std::vector<std::int64_t> uneven(static_cast<std::size_t>(ranks));
    for (std::size_t r = 0; r < uneven.size(); ++r) uneven[r] = r % 3 == 1 ? 0 : static_cast<std::int64_t>(3 + 9 * r);
    list.push_back(RowPartition::from_counts(uneven));
    std::reverse(uneven.begin(), uneven.end());
    list.push_back(RowPartition::from_counts(uneven));
  }
  return list;
}

TEST(Schedule, SquareEvaluatesEveryPairOfTilesOnce) {
  for (const RowPartition &partition : many_partitions()) {
    SCOPED_TRACE(std::to_string(partition.rows()) + " rows on " + std::to_string(partition.ranks()) + " ranks");
    Coverage receives;
    std::map<std::pair<TileKey, TileKey>, int> evaluated;
    for (const Entry &e : all_entries(partition, partition, Sides::both, true)) {
      const TileKey a = e.own.first.value;
      const TileKey b = e.visiting.first.value;
      ++evaluated[std::minmax(a, b)];
      EXPECT_FALSE(e.pair.masked);
      if (has_own(e.pair.sides)) ++receives[{a, b}];
      if (has_visiting(e.pair.sides)) ++receives[{b, a}];
    }
    const std::vector<TileInfo> tiles = tiles_of_all(partition);
    expect_once(receives, tiles, tiles);
    for (const auto &[pair, times] : evaluated) ASSERT_EQ(times, 1) << pair.first << " " << pair.second;
  }
}

TEST(Schedule, RectangleEvaluatesEachPairOnce) {
  for (int ranks = 1; ranks <= 5; ++ranks)
    for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
      const RowPartition own = RowPartition::contiguous(37, ranks);
      const RowPartition visiting = RowPartition::zigzag(58, ranks);
      Coverage evaluated;
      for (const Entry &e : all_entries(own, visiting, sides, false)) {
        EXPECT_EQ(e.pair.sides, sides);
        EXPECT_FALSE(e.pair.masked);
        ++evaluated[{e.own.first.value, e.visiting.first.value}];
      }
      expect_once(evaluated, tiles_of_all(own), tiles_of_all(visiting));
    }
}

TEST(Schedule, SequencesMeetTheirOwnAlone) {
  const RowPartition own = RowPartition::zigzag(37, 3);
  const RowPartition visiting = RowPartition::contiguous(58, 3);
  const Sequences queries{6, 5};
  const Sequences keys{2};
  for (const bool causal : {false, true})
    for (int rank = 0; rank < 3; ++rank) {
      Mask mask;
      mask.causal = causal;
      const Schedule schedule{own, visiting, rank, tile_rows, Sides::both, false, mask, 4, queries, keys};
      for (int step = 0; step < schedule.steps(); ++step) {
        const Visit visit = schedule.visit(step);
        const auto mine = static_cast<std::int32_t>(make_tiles(own, rank, tile_rows).size());
        const auto theirs = static_cast<std::int32_t>(make_tiles(visiting, visit.owner, tile_rows).size());
        std::map<std::pair<std::int32_t, std::int32_t>, int> seen;
        double points = 0;
        for (const TilePair &pair : visit.pairs) {
          EXPECT_EQ(pair.visiting / theirs, pair.own / mine / 3) << "query heads 0 to 2 read key head 0";
          EXPECT_EQ((seen[{pair.own, pair.visiting}]++), 0);
          const TileInfo &a = visit.pairs.own()[static_cast<std::size_t>(pair.own)];
          const TileInfo &b = visit.pairs.visiting()[static_cast<std::size_t>(pair.visiting)];
          points += static_cast<double>(a.rows) * b.rows;
          EXPECT_TRUE(!causal || b.first.value < a.first.value + a.rows);
        }
        EXPECT_TRUE(causal || seen.size() == static_cast<std::size_t>(6 * mine * theirs));
        EXPECT_EQ(points, visit.pairs.count().points);
        EXPECT_EQ(static_cast<double>(seen.size()), visit.pairs.count().tiles);
        EXPECT_EQ(visit.pairs.own().front().first.value, own.global_row(rank, LocalRow{0}).value + 5);
      }
    }
}

TEST(Schedule, PairsAreCountedWithoutAList) {
  for (const std::int64_t rows : {1, 4, 7, 50})
    for (const std::int64_t others : {3, 29})
      for (const PairPattern pattern :
           {PairPattern::rectangle, PairPattern::square, PairPattern::even_half, PairPattern::odd_half})
        for (const bool causal : {false, true}) {
          const auto own = std::make_shared<const std::vector<TileInfo>>(
              make_tiles(RowPartition::contiguous(rows, 1), 0, tile_rows));
          const auto visiting = pattern == PairPattern::square
                                    ? own
                                    : std::make_shared<const std::vector<TileInfo>>(
                                          make_tiles(RowPartition::contiguous(others, 1), 0, tile_rows));
          Mask mask;
          mask.causal = causal;
          const PairList pairs(pattern, Sides::both, mask, own, visiting, 4);
          PairList::Count counted;
          for (const TilePair &pair : pairs) {
            EXPECT_TRUE(is_due(pattern, pair.own, pair.visiting));
            ++counted.tiles;
            counted.points += static_cast<double>((*own)[static_cast<std::size_t>(pair.own)].rows) *
                              (*visiting)[static_cast<std::size_t>(pair.visiting)].rows;
          }
          SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(others) + " pattern " +
                       std::to_string(static_cast<int>(pattern)));
          EXPECT_EQ(pairs.count().points, counted.points);
          EXPECT_EQ(pairs.count().tiles, counted.tiles);
        }
}

/// 10^8 + 1 rows in tiles of 128, the last of one row: 3 * 10^11 pairs of tiles, none of which is listed.
TEST(Schedule, PairsOfTenToTheEightRows) {
  constexpr std::int64_t rows = 100'000'001;
  constexpr std::int64_t tiles = 781'251;
  for (const auto &[ranks, expected] : {std::pair<int, std::int64_t>(1, tiles), {7, tiles + 5}}) {
    std::int64_t all = 0;
    const RowPartition partition = RowPartition::contiguous(rows, ranks);
    for (int rank = 0; rank < ranks; ++rank) all += count_tiles(partition, rank, 128);
    EXPECT_EQ(all, expected) << ranks << " ranks";
  }
  const auto own = std::make_shared<const std::vector<TileInfo>>(make_tiles(RowPartition::contiguous(rows, 1), 0, 128));
  ASSERT_EQ(static_cast<std::int64_t>(own->size()), tiles);
  EXPECT_EQ(own->back().first.value, rows - 1);
  const PairList pairs(PairPattern::square, Sides::both, {}, own, own, 4);
  EXPECT_EQ(pairs.count().tiles, 0.5 * tiles * (tiles + 1));
  EXPECT_EQ(pairs.count().points, 0.5 * 128 * 128 * (tiles - 1) * tiles + 128.0 * (tiles - 1) + 1);
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  PairList::Iterator at(pairs, 300'000'000'000);
  for (int n = 0; n < 1000; ++n, ++at) {
    const TilePair pair = *at;
    ASSERT_TRUE(0 <= pair.own && pair.own < tiles && 0 <= pair.visiting && pair.visiting < tiles);
    EXPECT_TRUE(is_due(PairPattern::square, pair.own, pair.visiting));
    EXPECT_TRUE(seen.insert({pair.own, pair.visiting}).second);
  }
}

// What makes tiles come from cache: g^2 consecutive pairs of full groups touch 2 g tiles. And what keeps threads apart:
// g pairs from the beginning of a diagonal share no tile.
TEST(Schedule, PairsOfTwoGroupsFollowEachOther) {
  constexpr int group = 4;
  const auto tiles = [](int count) {
    std::vector<TileInfo> list;
    for (int t = 0; t < count; ++t) list.push_back({GlobalRow{std::int64_t{t} * tile_rows}, tile_rows});
    return std::make_shared<const std::vector<TileInfo>>(std::move(list));
  };
  const PairList pairs(PairPattern::rectangle, Sides::both, {}, tiles(12), tiles(20), group);
  EXPECT_EQ(pairs.disjoint(), group);
  std::vector<TilePair> all;
  for (auto at = pairs.begin(); at != pairs.end(); ++at) all.push_back(*at);
  ASSERT_EQ(all.size(), 12U * 20U);
  const auto distinct = [&](std::size_t first, std::size_t count, auto tile) {
    std::map<int, int> seen;
    for (std::size_t at = first; at < first + count; ++at) ++seen[tile(all[at])];
    return seen.size();
  };
  const auto own = [](const TilePair &pair) { return pair.own; };
  const auto visiting = [](const TilePair &pair) { return pair.visiting; };
  for (std::size_t first = 0; first < all.size(); first += group * group) {
    EXPECT_EQ(distinct(first, group * group, own), group);
    EXPECT_EQ(distinct(first, group * group, visiting), group);
    for (std::size_t round = first; round < first + group * group; round += group) {
      EXPECT_EQ(distinct(round, group, own), group);
      EXPECT_EQ(distinct(round, group, visiting), group);
    }
  }
}

TEST(Schedule, GroupsFitTheCache) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{5000}, std::size_t{20000}, std::size_t{1} << 30}) {
    const int group = tiles_of_group(bytes);
    EXPECT_EQ(group % 2, 0);
    EXPECT_TRUE(group >= 8 && group <= 64);
    EXPECT_TRUE(group == 8 || 2 * static_cast<std::size_t>(group) * bytes <= 1U << 20U) << bytes;
  }
}

TEST(Schedule, FewerRowsThanRanks) {
  const RowPartition own = RowPartition::contiguous(2, 5);
  const RowPartition visiting = RowPartition::from_counts({0, 0, 0, 9, 0});
  Coverage evaluated;
  for (const Entry &e : all_entries(own, visiting, Sides::own, false))
    ++evaluated[{e.own.first.value, e.visiting.first.value}];
  expect_once(evaluated, tiles_of_all(own), tiles_of_all(visiting));
}

TEST(Schedule, SquareSharesTheWorkEvenly) {
  for (int ranks = 2; ranks <= 7; ++ranks)
    for (const std::int64_t tiles : {1, 2, 5, 8}) {
      const RowPartition partition = RowPartition::contiguous(ranks * tiles * tile_rows, ranks);
      std::vector<std::int64_t> pairs(static_cast<std::size_t>(ranks), 0);
      for (const Entry &e : all_entries(partition, partition, Sides::both, true))
        pairs[static_cast<std::size_t>(e.rank)] += static_cast<std::int64_t>(e.own.rows) * e.visiting.rows;
      const auto [least, most] = std::minmax_element(pairs.begin(), pairs.end());
      // Blocks of n tiles: halves of an n x n chessboard differ by at most one pair of tiles.
      EXPECT_LE(*most - *least, tile_rows * tile_rows) << ranks << " ranks, " << tiles << " tiles each";
      const std::int64_t all = ranks * tiles;
      EXPECT_EQ(std::accumulate(pairs.begin(), pairs.end(), std::int64_t{0}),
                all * (all + 1) / 2 * tile_rows * tile_rows);
    }
}

/// Whether the mask hides no, some or all pairs of points of two tiles, by looking at each.
std::pair<bool, bool> some_and_all_visible(const Entry &e, const Mask &mask) {
  bool some = false;
  bool all = true;
  for (std::int64_t i = e.own.first.value; i < e.own.first.value + e.own.rows; ++i)
    for (std::int64_t j = e.visiting.first.value; j < e.visiting.first.value + e.visiting.rows; ++j) {
      const bool visible = !(mask.causal && j > i) && !(mask.exclude_self && j == i);
      some = some || visible;
      all = all && visible;
    }
  return {some, all};
}

TEST(Schedule, MasksLeaveOutHiddenPairsAndMarkCutOnes) {
  const Mask masks[] = {{true, false}, {false, true}, {true, true}};
  for (const Mask &mask : masks)
    for (int ranks = 1; ranks <= 5; ++ranks)
      for (const RowPartition &own : {RowPartition::zigzag(61, ranks), RowPartition::contiguous(61, ranks)}) {
        const RowPartition visiting = RowPartition::zigzag(75, ranks);
        Coverage evaluated;
        for (const Entry &e : all_entries(own, visiting, Sides::own, false, mask)) {
          const auto [some, all] = some_and_all_visible(e, mask);
          // A tile of one row that meets itself alone is cut to nothing; it may be listed as long as it is marked.
          EXPECT_TRUE(some || (mask.exclude_self && e.pair.masked)) << "a hidden pair is listed";
          EXPECT_EQ(e.pair.masked, !all);
          ++evaluated[{e.own.first.value, e.visiting.first.value}];
        }
        for (const TileInfo &a : tiles_of_all(own))
          for (const TileInfo &b : tiles_of_all(visiting)) {
            const auto [some, all] = some_and_all_visible({a, b, {}, 0}, mask);
            const auto found = evaluated.find({a.first.value, b.first.value});
            ASSERT_TRUE(!some || (found != evaluated.end() && found->second == 1)) << all;
          }
      }
}

TEST(Schedule, SquareKeepsSelfExclusion) {
  const Mask mask{false, true};
  const RowPartition partition = RowPartition::contiguous(50, 4);
  for (const Entry &e : all_entries(partition, partition, Sides::both, true, mask))
    EXPECT_EQ(e.pair.masked, e.own.first == e.visiting.first);
}

TEST(Schedule, ZigzagBalancesTheCausalMask) {
  const int ranks = 4;
  const std::int64_t rows = ranks * 2 * 8 * tile_rows;
  const auto spread = [&](const RowPartition &partition) {
    std::vector<double> pairs(ranks, 0);
    for (const Entry &e : all_entries(partition, partition, Sides::own, false, {true, false}))
      pairs[static_cast<std::size_t>(e.rank)] += 1;
    return *std::max_element(pairs.begin(), pairs.end()) / *std::min_element(pairs.begin(), pairs.end());
  };
  EXPECT_LT(spread(RowPartition::zigzag(rows, ranks)), 1.01);
  EXPECT_GT(spread(RowPartition::contiguous(rows, ranks)), 3);
}

}  // namespace
}  // namespace flashring::test
