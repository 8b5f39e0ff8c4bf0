// The index arithmetic of backend sm90 by brute force: descriptors against the PTX manual, steps and stages against the
// list of chunk products, shared memory against its limit, rings against division.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sm90/arguments.hpp"
#include "sm90/descriptor.hpp"
#include "sm90/producer.hpp"
#include "support/hopper_block.hpp"

namespace flashring::test {
namespace {

using sm80::PieceLayout;
using sm90::BlockPlan;

// By hand: address 0x400, 1 in the place of the leading offset, 256 bytes between groups of 8 rows, swizzle mode 3.
static_assert(sm90::chunk_descriptor(0x400) == 0xc000001000010040ULL);
// 227 KB above the first kilobyte, the last that an address's bits can tell of a block's memory.
static_assert(sm90::advanced(sm90::chunk_descriptor(0x400), 227U << 10U) ==
              sm90::chunk_descriptor(0x400 + (227U << 10U)));

TEST(Sm90Descriptor, LeadsToWherePackingPutsColumns) {
  for (const std::uint32_t address : {1024U, 1024U + 256U, 4096U, 200U << 10U})
    for (int row = 0; row < sm90::tile_rows; ++row)
      for (int column = 0; column < sm80::chunk_columns; ++column)
        ASSERT_EQ(operand_address(sm90::chunk_descriptor(address), row, column),
                  address + static_cast<std::uint32_t>(sm80::chunk_offset(row, column)));
}

TEST(Sm90Descriptor, RowsOfTheSecondGroupOfConsumers) {
  const std::uint64_t first = sm90::chunk_descriptor(2048);
  const std::uint64_t second = sm90::advanced(first, sm90::group_rows * sm80::chunk_row_bytes);
  for (int row = 0; row < sm90::group_rows; ++row)
    ASSERT_EQ(operand_address(second, row, 5), operand_address(first, row + sm90::group_rows, 5));
}

/// What the producer asks for; nobody is waited for.
struct Recorder {
  std::vector<std::pair<std::uintptr_t, std::uint32_t>> copies;  // from, bytes
  int block() const { return 0; }
  int blocks() const { return 1; }
  void wait_phase(const std::uint64_t * /*barrier*/, std::uint32_t /*parity*/) {}
  void arrive_expecting(const std::uint64_t * /*barrier*/, std::uint32_t /*bytes*/) {}
  void copy_bulk(const void * /*to*/, const void *from, std::uint32_t bytes, const std::uint64_t * /*barrier*/) {
    copies.emplace_back(reinterpret_cast<std::uintptr_t>(from), bytes);
  }
};

/// An array of the device: `bytes` for each tile, from an address that nothing else is near.
struct Area {
  std::uintptr_t begin;
  std::uintptr_t bytes;
  std::byte *data() const { return reinterpret_cast<std::byte *>(begin); }
};

/// Bytes that were copied from a tile of an area; a copy lies within one tile.
std::uintptr_t copied(const Recorder &recorder, const Area &area, std::uintptr_t tile) {
  const std::uintptr_t first = area.begin + tile * area.bytes;
  std::uintptr_t sum = 0;
  for (const auto &[from, bytes] : recorder.copies)
    if (first <= from && from + bytes <= first + area.bytes) sum += bytes;
  return sum;
}

/// 10^8 points: the last own tile with the last two visiting ones. Every copy is from one of these tiles.
TEST(Sm90Producer, AddressesAtTenToTheEight) {
  constexpr std::int32_t tiles = 781250;
  constexpr int features = 512;
  const std::vector<TileInfo> list(tiles, TileInfo{GlobalRow{0}, sm90::tile_rows});
  for (const auto &[row, columns] : {std::pair(RowKind::sum, 1), {RowKind::sum, 33}, {RowKind::logsumexp, 5}}) {
    const TileShape shape{parse_pair("gaussian:beta=1"), row, 0, Precision::fp32, features, columns, {}};
    const std::uintptr_t payload = sm80::layout_of(shape).bytes();
    const Area own{std::uintptr_t{1} << 44U, payload};
    const Area visiting{std::uintptr_t{1} << 45U, payload};
    const Area scalars{std::uintptr_t{1} << 46U, sm90::vector_bytes};
    const Area values{std::uintptr_t{3} << 45U, sm90::vector_bytes * static_cast<std::uintptr_t>(columns)};
    BlockCall call{};
    call.shape = shape;
    call.own = {list.data(), own.data(), scalars.data(), values.data(), nullptr};
    call.visiting = {list.data(), visiting.data(), scalars.data(), values.data(), nullptr};
    call.own_tiles = call.visiting_tiles = tiles;
    call.sides = Sides::own;
    sm80::WaveArguments wave = sm80::make_arguments(call, columns);
    wave.wave = {tiles - 1, 1, tiles - 2, 2};
    const sm90::SweepArguments sweep = sm90::make_sweep(sm90::way_of(shape, Sides::own), wave);
    std::vector<std::byte> shared(sweep.plan.bytes);
    Recorder recorder;
    sm90::Producer<Recorder>(recorder, sm90::BlockMemory{shared.data(), &sweep}).run();
    std::uintptr_t all = 0;
    for (const auto &[from, bytes] : recorder.copies) all += bytes;
    std::uintptr_t found = copied(recorder, own, tiles - 1);
    EXPECT_GT(found, 0U) << "the own tile";
    for (const std::uintptr_t tile : {std::uintptr_t{tiles - 2}, std::uintptr_t{tiles - 1}}) {
      EXPECT_GT(copied(recorder, visiting, tile), 0U) << "tile " << tile;
      EXPECT_EQ(copied(recorder, values, tile), values.bytes) << "columns of tile " << tile;
      found += copied(recorder, visiting, tile) + copied(recorder, values, tile) + copied(recorder, scalars, tile);
    }
    EXPECT_EQ(found, all) << "copies from elsewhere";
    EXPECT_EQ(sm80::tile_chunks(wave, wave.visiting, tiles - 1) - wave.visiting.payload,
              static_cast<std::ptrdiff_t>(std::uintptr_t{tiles - 1} * payload));
  }
}

/// The manual's pictures of swizzled layouts: where 16-byte piece p of row r of 8 lies, counted in the row's width.
TEST(HopperUnit, SwizzlesAreTheManuals) {
  for (std::uint32_t r = 0; r < 8; ++r) {
    for (std::uint32_t p = 0; p < 8; ++p) EXPECT_EQ(swizzled_address(r * 128 + p * 16, 1), r * 128 + (p ^ r) * 16);
    for (std::uint32_t p = 0; p < 4; ++p) EXPECT_EQ(swizzled_address(r * 64 + p * 16, 2), r * 64 + (p ^ r / 2) * 16);
    for (std::uint32_t p = 0; p < 2; ++p) EXPECT_EQ(swizzled_address(r * 32 + p * 16, 3), r * 32 + (p ^ r / 4) * 16);
    EXPECT_EQ(swizzled_address(r * 128 + 48, 0), r * 128 + 48);
  }
}

std::vector<PieceLayout> layouts() {
  std::vector<PieceLayout> all;
  for (const Precision precision : {Precision::fp32, Precision::reduced})
    for (const Accumulate accumulate : {Accumulate::squared_distance, Accumulate::inner})
      for (const int d : {1, 9, 15, 16, 17, 25, 26, 31, 32, 33, 48, 64, 100, 128, 200, 512, 4096})
        all.push_back(sm80::piece_layout(d, precision, accumulate));
  return all;
}

std::string name_of(const PieceLayout &layout) {
  return "d=" + std::to_string(layout.features) + " pieces=" + std::to_string(layout.pieces) +
         " norms=" + std::to_string(layout.norms) + " folded=" + std::to_string(layout.folded);
}

BlockPlan plan_of(const PieceLayout &layout) { return sm90::plan_block(layout, 1056, 0, 8192); }

TEST(Sm90Steps, EveryChunkProductOnceAndInOrder) {
  for (const PieceLayout &layout : layouts()) {
    SCOPED_TRACE(name_of(layout));
    const BlockPlan plan = plan_of(layout);
    int n = 0;
    for (int s = 0; s < plan.steps; ++s) {
      const sm90::StepGroups groups = sm90::groups_of_step(layout, plan, s);
      ASSERT_LT(groups.first, groups.last);
      const int triples = sm90::triples_of(layout, groups);
      for (int g = groups.first; g < groups.last; ++g) {
        const sm90::Group group = sm90::group_at(layout, g);
        ASSERT_EQ(group.chunks == 3, g - groups.first < triples);
        for (int k = 0; k < sm80::products_of(group.chunks); ++k, ++n) {
          const sm80::PieceProduct p = sm80::piece_product(group.chunks, k);
          ASSERT_EQ(group.own + p.own, layout.chunk_pair(n).own);
          ASSERT_EQ(group.visiting + p.visiting, layout.chunk_pair(n).visiting);
        }
      }
    }
    EXPECT_EQ(n, layout.chunk_products());
  }
}

TEST(Sm90Steps, ChunksOfAStageFollowEachOtherAndFit) {
  for (const PieceLayout &layout : layouts()) {
    SCOPED_TRACE(name_of(layout));
    const BlockPlan plan = plan_of(layout);
    for (int s = 0; s < plan.steps; ++s) {
      const sm90::StepGroups groups = sm90::groups_of_step(layout, plan, s);
      std::uint32_t next = 0;  // consumers advance by whole chunks
      for (int g = groups.first; g < groups.last; ++g) {
        const std::uint32_t size = static_cast<std::uint32_t>(sm90::group_at(layout, g).chunks) * 4096U;
        const int k = g - groups.first;
        ASSERT_EQ(sm90::visiting_offset(layout, k), next);
        const auto own = static_cast<std::uint32_t>(sm90::group_at(layout, g).own) * 4096U;
        ASSERT_EQ(sm90::own_offset(layout, plan, g, k), plan.resident ? own : plan.stage_bytes / 2 + next);
        next += size;
      }
      EXPECT_EQ(next, sm90::step_bytes(sm90::runs_of_step(plan, s)));
      EXPECT_LE(next, plan.stage_bytes / (plan.resident ? 1U : 2U));
      EXPECT_LE(next, 4096U * sm90::stage_chunks);
    }
  }
}

/// Chunks of a tile in the order in which one copy moves them.
std::vector<int> run(int first, int count) {
  std::vector<int> chunks;
  for (int n = 0; n < count; ++n) chunks.push_back(first + n);
  return chunks;
}

TEST(Sm90Steps, RunsAreTheChunksOfTheirGroups) {
  for (const PieceLayout &layout : layouts()) {
    SCOPED_TRACE(name_of(layout));
    const BlockPlan plan = plan_of(layout);
    for (int s = 0; s < plan.steps; ++s) {
      const sm90::StepGroups groups = sm90::groups_of_step(layout, plan, s);
      const sm90::StepRuns runs = sm90::runs_of_step(plan, s);
      std::vector<int> visiting = run(sm90::visiting_features(plan, runs), runs.features);
      const std::vector<int> norms = run(sm90::visiting_norms(runs), runs.norms);
      visiting.insert(visiting.end(), norms.begin(), norms.end());
      const std::vector<int> own = run(runs.first, runs.features + runs.norms);
      std::size_t at = 0;
      for (int g = groups.first; g < groups.last; ++g) {
        const sm90::Group group = sm90::group_at(layout, g);
        ASSERT_EQ(sm90::visiting_offset(layout, g - groups.first), at * 4096);
        for (int n = 0; n < group.chunks; ++n, ++at) {
          ASSERT_LT(at, visiting.size());
          EXPECT_EQ(visiting[at], group.visiting + n);
          EXPECT_EQ(own[at], group.own + n);
        }
      }
      EXPECT_EQ(at, visiting.size());
    }
  }
}

TEST(Sm90Steps, OwnChunksLieAtTheBeginningOfATile) {
  for (const PieceLayout &layout : layouts()) {
    std::set<int> own;
    for (int n = 0; n < layout.chunk_products(); ++n) own.insert(layout.chunk_pair(n).own);
    EXPECT_EQ(*own.begin(), 0) << name_of(layout);
    EXPECT_EQ(*own.rbegin(), sm90::own_chunks(layout) - 1) << name_of(layout);
    EXPECT_EQ(own.size(), static_cast<std::size_t>(sm90::own_chunks(layout))) << name_of(layout);
  }
}

TEST(Sm90Plan, PartsDoNotMeetAndFit) {
  int resident = 0;
  for (const PieceLayout &layout : layouts())
    for (const std::uint32_t note : {sm90::note_bytes_of(false, false), sm90::note_bytes_of(true, true)})
      for (const auto &[columns, fold] : {std::pair{0U, 0U}, std::pair{0U, 8192U}, std::pair{16384U, 102528U}}) {
        SCOPED_TRACE(name_of(layout) + " note=" + std::to_string(note) + " fold=" + std::to_string(fold));
        const BlockPlan p = sm90::plan_block(layout, note, columns, fold);
        resident += p.resident ? 1 : 0;
        EXPECT_GE(p.stages, sm90::least_stages);
        EXPECT_LE(p.stages, sm90::most_stages);
        EXPECT_GE(p.stages_at, p.resident ? static_cast<std::uint32_t>(sm90::own_chunks(layout)) * 4096U : 0U);
        EXPECT_EQ(p.stages_at % 4096, 0U);
        EXPECT_EQ(p.stage_bytes % 4096, 0U);
        EXPECT_EQ(p.notes_at, p.stages_at + static_cast<std::uint32_t>(p.stages) * p.stage_bytes);
        EXPECT_EQ(p.fold_at, p.columns_at + columns);
        EXPECT_EQ(p.columns_at, p.notes_at + sm90::note_slots * note);
        EXPECT_GE(p.barriers_at, p.fold_at + fold);
        EXPECT_EQ(p.barriers_at % 16, 0U);
        EXPECT_EQ(note % 16, 0U);
        EXPECT_EQ(p.bytes, p.barriers_at + 8U * static_cast<std::uint32_t>(2 * (p.stages + sm90::note_slots + 2)));
        EXPECT_LE(p.bytes, sm90::shared_limit);
      }
  EXPECT_GT(resident, 0);
  // 200 features in fp32 stay, 256 do not.
  EXPECT_TRUE(plan_of(sm80::piece_layout(200, Precision::fp32, Accumulate::squared_distance)).resident);
  EXPECT_FALSE(plan_of(sm80::piece_layout(256, Precision::fp32, Accumulate::squared_distance)).resident);
}

TEST(Sm90Plan, BarriersOfABlockAreAllDifferent) {
  sm90::SweepArguments a;
  a.plan = plan_of(sm80::piece_layout(64, Precision::fp32, Accumulate::squared_distance));
  std::vector<std::byte> memory(a.plan.bytes);
  const sm90::BlockMemory block{memory.data(), &a};
  std::set<const void *> seen;
  for (std::uint32_t s = 0; s < block.stages(); ++s) seen.insert({block.stage_full(s), block.stage_empty(s)});
  for (std::uint32_t s = 0; s < sm90::note_slots; ++s) seen.insert({block.note_full(s), block.note_empty(s)});
  seen.insert({block.own_full(), block.own_empty(), block.columns_full(), block.columns_empty()});
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(sm90::barrier_count(a.plan.stages)));
  EXPECT_EQ(*seen.begin(), memory.data() + a.plan.barriers_at);
  EXPECT_EQ(*seen.rbegin(), memory.data() + a.plan.bytes - 8);
}

TEST(Sm90Ring, SlotsAndParitiesAreThoseOfDivision) {
  for (const std::uint32_t slots : {1U, 2U, 3U, 4U}) {
    sm90::Ring ring;
    for (std::uint32_t n = 0; n < 50; ++n, ring.next(slots)) {
      ASSERT_EQ(ring.slot, n % slots);
      ASSERT_EQ(ring.parity, n / slots % 2);
    }
  }
}

/// A block of 128 threads where thread 0 copies and all read.
void copy_and_read(HopperThread &t, const float *values, bool waits, float *seen) {
  auto *barrier = reinterpret_cast<std::uint64_t *>(t.shared());
  const auto *stage = reinterpret_cast<const float *>(t.shared() + 16);
  if (t.thread() == 0) {
    t.init_barrier(barrier, 1);
    t.arrive_expecting(barrier, 512);
    t.copy_bulk(t.shared() + 16, values, 512, barrier);
  }
  t.sync_block();
  if (waits) t.wait_phase(barrier, 0);
  seen[t.thread()] = stage[t.thread()];
}

TEST(HopperBlock, CopiesArriveWhenTheyAreWaitedFor) {
  alignas(16) float values[128];
  float seen[128];
  for (int i = 0; i < 128; ++i) values[i] = static_cast<float>(i);
  HopperBlock block(128, 128);
  block.run(0, 1, 528, [&](HopperThread &t) { copy_and_read(t, values, true, seen); });
  for (int i = 0; i < 128; ++i) EXPECT_EQ(seen[i], static_cast<float>(i));
  EXPECT_THROW(block.run(0, 1, 528, [&](HopperThread &t) { copy_and_read(t, values, false, seen); }), std::logic_error);
  for (int i = 0; i < 128; ++i) EXPECT_TRUE(std::isnan(seen[i]));
}

/// The manual's figure of the accumulators of wgmma m64nNk16: thread of the warp group and element of some places,
/// corners and steps. Element i is accumulators[i / 4][i % 4].
struct Place {
  int row, column, thread, element;
};
constexpr Place places[] = {{0, 0, 0, 0},    {0, 1, 0, 1},   {0, 7, 3, 1},    {0, 8, 0, 4},
                            {0, 127, 3, 61}, {1, 0, 4, 0},   {7, 0, 28, 0},   {8, 0, 0, 2},
                            {15, 7, 31, 3},  {16, 0, 32, 0}, {31, 10, 61, 6}, {32, 0, 64, 0},
                            {40, 0, 64, 2},  {48, 2, 97, 0}, {63, 0, 124, 2}, {63, 127, 127, 63}};

/// Each element of the product, row + 64 column, names its place.
TEST(HopperUnit, AccumulatorsAreTheManuals) {
  struct Operands {
    std::uint64_t own, visiting;
  };
  const auto store = [](std::byte *chunk, int row, int column, float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) >> 16U;
    std::memcpy(chunk + sm80::chunk_offset(row, column), &bits, 2);
  };
  float found[128][16][4];
  HopperBlock block(128, 128);
  block.run(0, 1, 2 * sm90::chunk_bytes, [&](HopperThread &t) {
    std::byte *own = t.shared();
    std::byte *visiting = own + sm90::chunk_bytes;
    for (int column = 0; column < sm80::chunk_columns; ++column) {
      const int row = t.thread();
      store(own, row, column, column == 0 ? static_cast<float>(row) : column == 1 ? 1.0F : 0.0F);
      store(visiting, row, column, column == 0 ? 1.0F : column == 1 ? 64.0F * static_cast<float>(row) : 0.0F);
    }
    t.sync_block();
    float(&accumulators)[16][4] = found[t.thread()];
    t.multiply_first(accumulators, Operands{sm90::chunk_descriptor(t.shared_address(own)),
                                            sm90::chunk_descriptor(t.shared_address(visiting))});
    t.commit_products();
    t.finish_products(accumulators);
  });
  for (const Place &p : places)
    EXPECT_EQ(found[p.thread][p.element / 4][p.element % 4], static_cast<float>(p.row + 64 * p.column))
        << "row " << p.row << ", column " << p.column;
}

std::string told(const std::function<void(HopperThread &)> &body) {
  HopperBlock block(128, 64);
  try {
    block.run(0, 1, 64, body);
  } catch (const std::logic_error &error) {
    return error.what();
  }
  return "";
}

std::uint64_t *barrier_of(HopperThread &t, int arrivals) {
  auto *barrier = reinterpret_cast<std::uint64_t *>(t.shared());
  if (t.thread() == 0) t.init_barrier(barrier, arrivals);
  t.sync_block();
  return barrier;
}

TEST(HopperBlock, FaultsAreToldByName) {
  EXPECT_NE(told([](HopperThread &t) {
              std::uint64_t *barrier = barrier_of(t, 2);
              if (t.thread() == 1) t.arrive(barrier);
              if (t.warp() == 2) t.wait_phase(barrier, 0);
            }).find("threads 64 to 95 wait for phase 0 of the mbarrier at byte 0"),
            std::string::npos);
  EXPECT_NE(told([](HopperThread &t) {
              std::uint64_t *barrier = barrier_of(t, 3);
              if (t.thread() < 4) t.arrive(barrier);
              if (t.thread() < 2) t.arrive(barrier);
              if (t.thread() == 0) t.wait_phase(barrier, 1);
              if (t.thread() == 0) t.wait_phase(barrier, 0);
            }),
            "");  // a phase that is over is not waited for, one that is not never comes
  EXPECT_NE(
      told([](HopperThread &t) { t.arrive(reinterpret_cast<std::uint64_t *>(t.shared())); }).find("was not set up"),
      std::string::npos);
  EXPECT_NE(told([](HopperThread &t) {
              if (t.thread() < 63) t.sync();
            }).find("wait for the other consumers"),
            std::string::npos);
  EXPECT_NE(told([](HopperThread &t) { t.sync(); }).find("no consumer"), std::string::npos);
}

TEST(HopperBlock, AnArrivalTooManyWhileBytesAreMissing) {
  EXPECT_NE(told([](HopperThread &t) {
              std::uint64_t *barrier = barrier_of(t, 1);
              if (t.thread() == 0) t.arrive_expecting(barrier, 16);
              if (t.thread() == 0) t.arrive_expecting(barrier, 16);
            }).find("more arrivals"),
            std::string::npos);
}

}  // namespace
}  // namespace flashring::test
