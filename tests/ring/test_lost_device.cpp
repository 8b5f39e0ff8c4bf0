// A device or a peer that is lost in a pass: which ranks are told, and that nobody waits for who is lost.
#include <gtest/gtest.h>

#include "flashring/check.hpp"
#include "flashring/ring.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

bool last_rank() { return world().rank() == world().size() - 1; }

/// The transport that serves the device; those below do something else on the way.
class Interposed : public Transport {
 public:
  const char *name() const override { return inner_->name(); }
  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    return inner_->start(sends, receives);
  }
  void settle() override { inner_->settle(); }
  void abandon() override { inner_->abandon(); }

 private:
  std::unique_ptr<Transport> inner_ = make_transport("auto", world(), fake_device().device);
};

/// What a pass of every rank's points on the device says.
Error failure_of(Transport &transport) {
  const PointSet points = random_points(291, 3, 31);
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(points.count()), world().size());
  const TileShape shape{parse_pair("gaussian:beta=0.7"), RowKind::sum, 0, Precision::fp64, points.features, 1, {}};
  TileBlock block(fake_device(), shape, local_block(points, rows, world().rank()), {});
  const std::vector<double> x(static_cast<std::size_t>(block.local_rows()), 1.0);
  block.set_columns({x.data(), block.local_rows(), 1});
  Ring ring(world(), transport, fake_device(), {});
  try {
    ring.run(shape, Sides::own, block, block);
  } catch (const Error &error) {
    return error;
  }
  return Error("no error");
}

/// When all is queued.
class LostAtTheEnd final : public Interposed {
 public:
  void settle() override {
    Interposed::settle();
    if (last_rank()) fail_next_wait("the memory caught fire");
  }
};

TEST(LostDevice, IsToldToAllAtTheEndOfAPass) {
  LostAtTheEnd transport;
  const Error error = failure_of(transport);
  const std::string rank = "rank " + std::to_string(world().size() - 1);
  EXPECT_EQ(std::string(error.what()).find(rank + ": the device failed: the memory caught fire"), 0U) << error.what();
  EXPECT_TRUE(error.common());
}

/// At the first message; meanwhile the others hang until the last rank has said so.
class LostInTheMiddle final : public Interposed {
 public:
  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    if (last_rank()) {
      fail_next_wait("the memory caught fire");
      return Interposed::start(sends, receives);
    }
    world().sum(1.0);
    throw Error("the job is aborted");
  }
};

TEST(LostDevice, IsToldAtOnceInTheMiddleOfAPass) {
  if (world().size() == 1) GTEST_SKIP() << "one rank sends nothing";
  LostInTheMiddle transport;
  const Error error = failure_of(transport);
  if (last_rank()) world().sum(1.0);
  const std::string expected = last_rank() ? "the memory caught fire" : "the job is aborted";
  EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
  EXPECT_FALSE(error.common()) << "one rank alone has it, so the job must be aborted";
}

/// The last wait for messages fails on rank 0; the others hang in theirs until rank 0 has given its messages up.
class LostPeer final : public Interposed {
 public:
  void settle() override {
    if (world().rank() == 0) throw Error("a peer is lost");
    world().sum(1.0);
  }
  void abandon() override {
    if (world().rank() == 0 && !abandoned_) world().sum(1.0);
    abandoned_ = true;
  }

 private:
  bool abandoned_ = false;
};

TEST(LostDevice, MessagesAreGivenUpBeforeTheRanksAgree) {
  LostPeer transport;
  const Error error = failure_of(transport);
  EXPECT_STREQ(error.what(), "rank 0: a peer is lost");
  EXPECT_TRUE(error.common());
}

}  // namespace
}  // namespace flashring::test
