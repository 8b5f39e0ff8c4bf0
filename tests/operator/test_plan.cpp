// The memory plan against what the operator's own arrays take, and the size that would fit.
#include <gtest/gtest.h>

#include "flashring/check.hpp"
#include "flashring/plan.hpp"
#include "flashring/ring.hpp"
#include "support/apply.hpp"
#include "support/fake_device.hpp"

namespace flashring::test {
namespace {

double part(const std::vector<MemoryPart> &parts, const std::string &name) {
  for (const MemoryPart &p : parts)
    if (p.name == name) return p.bytes;
  ADD_FAILURE() << "no part " << name;
  return 0;
}

TEST(Plan, PartsAreThoseOfTheArrays) {
  OperatorOptions options = options_of({{"pair", "gaussian:beta=1"}, {"backend", "ref"}, {"ramp", "none"}});
  const Backend &backend = find_backend("ref");
  const PointShape shape{1000 * backend.tile_rows, 5};
  const double rows = 1000.0 * backend.tile_rows;
  const TileShape tile{options.pair, RowKind::sum, 0, Precision::fp64, 5, 1, {}};
  const auto payload = static_cast<double>(backend.payload_bytes(tile));
  const std::vector<MemoryPart> alone = operator_memory(options, shape, 1, 1, "ring");
  EXPECT_EQ(part(alone, "points in tiles"), 1000 * payload);
  EXPECT_EQ(part(alone, "points in tiles of other precisions"), 0);
  EXPECT_EQ(part(alone, "points of other ranks"), 0);
  EXPECT_EQ(part(alone, "columns and sums"), 2 * rows * 8);
  EXPECT_EQ(part(alone, "columns and sums on their way"), 0);
  options.ramp = "fp32";  // ref packs every precision in the same way
  EXPECT_EQ(part(operator_memory(options, shape, 1, 1, "ring"), "points in tiles of other precisions"), 1000 * payload);
  options.ramp = "none";
  options.precision = Precision::fp32;
  EXPECT_EQ(part(operator_memory(options, shape, 1, 1, "ring"), "points in tiles of other precisions"), 1000 * payload);
  // Four ranks: a rank meets two others; the ring holds two blocks at a time whatever the number of ranks.
  EXPECT_EQ(part(operator_memory(options, shape, 4, 1, "resident"), "points of other ranks"), 2 * 250 * payload);
  EXPECT_EQ(part(operator_memory(options, shape, 10, 1, "resident"), "points of other ranks"), 5 * 100 * payload);
  EXPECT_EQ(part(operator_memory(options, shape, 10, 1, "ring"), "points of other ranks"), 2 * 100 * payload);
  EXPECT_EQ(part(operator_memory(options, shape, 2, 1, "ring"), "points of other ranks"), 500 * payload);
}

TEST(Plan, PointsAreOnTheDeviceOrOnTheHost) {
  OperatorOptions options = options_of({{"pair", "gaussian:beta=1"}, {"ramp", "none"}});
  const Backend &backend = fake_device();
  const PointShape shape{4000 * backend.tile_rows, 700};
  const TileShape tile{options.pair, RowKind::sum, 0, Precision::fp64, 700, 1, {}};
  const double points = 4000 * static_cast<double>(backend.payload_bytes(tile));
  const std::vector<MemoryPart> there = operator_memory(backend, options, shape, 1, 1, "ring");
  options.points_memory = "host";
  const std::vector<MemoryPart> here = operator_memory(backend, options, shape, 1, 1, "ring");
  EXPECT_EQ(part(here, "points at work"), 2.0 * RingOptions{}.part_bytes);
  EXPECT_EQ(sum_of(there, true) - sum_of(here, true), points - 2.0 * RingOptions{}.part_bytes);
  EXPECT_EQ(sum_of(here) - sum_of(there), points);
  for (const MemoryPart &p : there) EXPECT_TRUE(!p.points || p.name.rfind("points", 0) == 0) << p.name;
}

TEST(Plan, RampNeedsRoom) {
  const OperatorOptions options = options_of({{"pair", "gaussian:beta=1"}, {"backend", "ref"}});
  EXPECT_EQ(choose_ramp(world(), options, {1000, 3}).value, "auto");
  EXPECT_EQ(choose_ramp(world(), options, {std::int64_t{1} << 40U, 3}).value, "none");
  EXPECT_EQ(choose_ramp(world(), options_of({{"ramp", "scout"}}), {std::int64_t{1} << 40U, 3}).value, "scout");
}

TEST(Plan, MemoryOfPointsIsThatOfTheBackend) {
  OperatorOptions options = options_of({{"pair", "gaussian:beta=1"}, {"backend", "ref"}});
  EXPECT_EQ(choose_points_memory(world(), options, {1000, 3}).value, "host");
  EXPECT_NO_THROW(check_device_room(world(), options, {std::int64_t{1} << 50U, 3}));
  options.points_memory = "device";
  try {
    choose_points_memory(world(), options, {1000, 3});
    FAIL() << "no error";
  } catch (const Error &error) {
    for (const char *word : {"-points_memory device", "ref", "leave the option out"})
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(Plan, ARunThatDoesNotFitAGpuSaysWhatDoes) {
  RunPlan plan;
  plan.shape = {1000000, 3};
  plan.ranks = 4;
  plan.uses_device = true;
  plan.room = {1e12, "this machine"};
  plan.device_room = {1e9, "the GPU"};
  plan.phases = {{"one", {{"a", 4e9, true}}}};
  const auto message = [&] {
    try {
      plan.check_room();
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  plan.points_memory.value = "device";
  EXPECT_NE(message().find("-points_memory host"), std::string::npos) << message();
  for (const char *memory : {"device", "host"}) {
    plan.points_memory.value = memory;
    EXPECT_NE(message().find("16 GPUs"), std::string::npos) << message();
    EXPECT_NE(message().find("250000 of the 1000000"), std::string::npos) << message();
  }
  EXPECT_EQ(message().find("-points_memory host"), std::string::npos) << message();
}

TEST(Plan, ARunThatDoesNotFitSaysSaysWhichWould) {
  RunPlan plan;
  plan.shape = {1000000, 3};
  plan.ranks = 4;
  plan.room = {1e9, "ulimit -v"};
  plan.phases = {{"one", {{"a", 2e8}, {"b", 3e8}}}, {"two", {{"a", 4e9}}}};
  EXPECT_EQ(plan.peak(), 4e9);
  try {
    plan.check_room();
    FAIL() << "no error";
  } catch (const Error &error) {
    for (const char *word : {"4000 MB", "1000 MB", "ulimit -v", "250000 of the 1000000", "16 ranks"})
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << word << "\n" << error.what();
  }
  plan.room.bytes = 4e9;
  EXPECT_NO_THROW(plan.check_room());
}

TEST(Plan, TimesArePositiveAndTheSameEverywhere) {
  const OperatorOptions options = options_of({{"pair", "gaussian:beta=1"}});
  for (const Precision precision : {Precision::fp32, Precision::fp64})
    for (const int columns : {1, 8}) {
      const double seconds = measure_pass(world(), options, {20000, 3}, precision, columns);
      EXPECT_GT(seconds, 0);
      EXPECT_EQ(world().max(seconds), world().min(seconds));
    }
}

TEST(Plan, ManyFeaturesAreNotAllMeasured) {
  // A tile of these points has 200 MB; measuring it would take minutes.
  const OperatorOptions options = options_of({{"pair", "gaussian:beta=1"}});
  const double wide = measure_pass(world(), options, {20, 100000}, Precision::fp64, 1);
  const double narrow = measure_pass(world(), options, {20, 1000}, Precision::fp64, 1);
  EXPECT_GT(wide, 10 * narrow);
}

}  // namespace
}  // namespace flashring::test
