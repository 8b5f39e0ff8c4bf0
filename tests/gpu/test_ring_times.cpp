// The model that stands beside the seconds of a ring.
#include <gtest/gtest.h>

#include "gpu/blocks.hpp"
#include "gpu/ring_times.hpp"
#include "support/fake_device.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

TEST(RingTimes, AStepTakesTheLongerOfComputingAndMoving) {
  // Two steps of 1 s each; a block of 0.5 s moves in the first one, sums of 0.5 s come home at the end.
  EXPECT_DOUBLE_EQ(modelled_seconds({{10, 10}, {4, 0, 4}}, 2, 1), 2.5);
  // The block takes 3 s, longer than its step.
  EXPECT_DOUBLE_EQ(modelled_seconds({{10, 10}, {6, 0, 2}}, 2, 4), 3 + 1 + 1);
  // Steps that are not alike: 1 s and 3 s of computing.
  EXPECT_DOUBLE_EQ(modelled_seconds({{5, 15}, {1, 1, 0}}, 4, 4), 2 + 3);
  // One rank moves nothing.
  EXPECT_DOUBLE_EQ(modelled_seconds({{7}, {0, 0}}, 2, 0), 2);
}

/// What the ring starts in three steps, with states that go home: blocks of 8 bytes, the larger direction counts.
TEST(RingTimes, MessagesBelongToTheStepDuringWhichTheyMove) {
  const auto message = [](std::size_t bytes) { return Message{0, 0, nullptr, bytes}; };
  const Recorded block{{message(6), message(1), message(1)}, {message(5), message(1), message(1)}};
  const Recorded state_1{{message(2)}, {message(3)}};
  const Recorded state_2{{message(1)}, {message(0)}};
  const RingLoad load = load_of({1, 2, 3}, {block, block, state_1, state_2});
  EXPECT_EQ(load.pairs, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(load.bytes, (std::vector<double>{8, 8, 3, 1}));
}

TEST(RingTimes, WhatIsHidden) {
  RingTimes times;
  times.compute = 4;
  times.moving = 1;
  times.both = 4;
  EXPECT_DOUBLE_EQ(times.hidden(), 1);
  times.both = 4.75;
  EXPECT_DOUBLE_EQ(times.hidden(), 0.25);
  times.both = 5.5;
  EXPECT_DOUBLE_EQ(times.hidden(), 0);
  times.moving = 0;
  EXPECT_DOUBLE_EQ(times.hidden(), 0);
}

TEST(RingTimes, MisfitIsAtLeastOne) {
  RingTimes times;
  EXPECT_EQ(times.misfit(), 0);
  times.both = 3;
  times.model = 2;
  EXPECT_DOUBLE_EQ(times.misfit(), 1.5);
  times.model = 6;
  EXPECT_DOUBLE_EQ(times.misfit(), 2);
}

TEST(RingTimes, OneRankOnlyComputes) {
  const Backend &backend = backend_named(device_names().front());
  const auto transport = make_transport("self", world(), backend.device);
  RingProblem problem;
  problem.own_rows = 200;
  const RingTimes times = measure_ring(problem, backend, world(), *transport);
  EXPECT_GE(times.pairs, 200.0 * 201 / 2);  // tiles on the diagonal are counted whole
  EXPECT_LE(times.pairs, 200.0 * 200);
  EXPECT_EQ(times.bytes, 0);
  EXPECT_EQ(times.moving, 0);
  EXPECT_EQ(times.hidden(), 0);
  EXPECT_TRUE(times.timeline.empty());
  EXPECT_EQ(times.waited, 0);
  EXPECT_GT(times.compute, 0);
  EXPECT_DOUBLE_EQ(times.model, times.compute);
}

}  // namespace
}  // namespace flashring::test
