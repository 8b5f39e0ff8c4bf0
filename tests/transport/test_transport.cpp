// Transport moves every byte to the right place; Communicator's words give every rank the same; agree() makes the
// failure of one rank the failure of all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "flashring/check.hpp"
#include "flashring/transport.hpp"
#include "support/world.hpp"
#include "transport/nccl_version.hpp"

namespace flashring::test {
namespace {

using Bytes = std::vector<std::byte>;

/// What rank `from` sends to rank `to`: different for every pair, channel and place.
Bytes content(int from, int to, int channel, std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = static_cast<std::uint32_t>(1 + from * 131 + to * 7 + channel * 1009);
  for (std::byte &byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24U);
  }
  return bytes;
}

/// Bytes between two ranks: some are empty, none alike.
std::size_t size_between(int from, int to, std::size_t base) {
  return base == 0 ? 0 : base + static_cast<std::size_t>(3 * from + to);
}

/// All-to-all on one channel; call start, then wait, then check.
class AllToAll {
 public:
  AllToAll(int channel, std::size_t base) : channel_(channel), base_(base) {
    const int size = world().size();
    for (int peer = 0; peer < size; ++peer) {
      out_.push_back(content(world().rank(), peer, channel, size_between(world().rank(), peer, base)));
      in_.emplace_back(size_between(peer, world().rank(), base), std::byte{0});
    }
    for (int peer = 0; peer < size; ++peer) {
      const auto p = static_cast<std::size_t>(peer);
      sends_.push_back({peer, channel, out_[p].data(), out_[p].size()});
      receives_.push_back({peer, channel, in_[p].data(), in_[p].size()});
    }
  }
  void start(Transport &transport) { exchange_ = transport.start(sends_, receives_); }
  Exchange &exchange() { return *exchange_; }
  void check() const {
    for (std::size_t peer = 0; peer < in_.size(); ++peer) {
      const int from = static_cast<int>(peer);
      EXPECT_TRUE(in_[peer] == content(from, world().rank(), channel_, size_between(from, world().rank(), base_)))
          << "from " << peer << " channel " << channel_ << " base " << base_;
    }
  }

 private:
  int channel_;
  std::size_t base_;
  std::vector<Bytes> out_, in_;
  std::vector<Message> sends_, receives_;
  std::unique_ptr<Exchange> exchange_;
};

TEST(Transport, EverySizeBetweenAllPairs) {
  const auto transport = make_transport("auto", world());
  for (const std::size_t base : {0U, 1U, 100U, 4096U, 70000U, 3000000U}) {
    AllToAll exchange(2, base);
    exchange.start(*transport);
    exchange.exchange().wait();
    exchange.check();
  }
}

TEST(Transport, TestFinishesWithoutWait) {
  const auto transport = make_transport("auto", world());
  AllToAll exchange(0, 500000);
  exchange.start(*transport);
  while (!exchange.exchange().test()) {
  }
  exchange.check();
  EXPECT_TRUE(exchange.exchange().test());
  exchange.exchange().wait();
}

TEST(Transport, ChannelsDoNotMix) {
  const auto transport = make_transport("auto", world());
  const int to = (world().rank() + 1) % world().size();
  const int from = (world().rank() + world().size() - 1) % world().size();
  std::vector<Bytes> out;
  std::vector<Bytes> in(16, Bytes(1000));
  std::vector<Message> sends;
  std::vector<Message> receives;
  for (int channel = 0; channel < 16; ++channel) out.push_back(content(world().rank(), to, channel, 1000));
  for (int channel = 0; channel < 16; ++channel) {
    const auto other = static_cast<std::size_t>(15 - channel);  // received in the opposite order
    sends.push_back({to, channel, out[static_cast<std::size_t>(channel)].data(), 1000});
    receives.push_back({from, 15 - channel, in[other].data(), 1000});
  }
  transport->start(sends, receives)->wait();
  for (int channel = 0; channel < 16; ++channel)
    EXPECT_TRUE(in[static_cast<std::size_t>(channel)] == content(from, world().rank(), channel, 1000)) << channel;
}

TEST(Transport, SeveralMessagesOnOneChannelKeepTheirOrder) {
  const auto transport = make_transport("auto", world());
  const int to = (world().rank() + 1) % world().size();
  const int from = (world().rank() + world().size() - 1) % world().size();
  Bytes first = content(world().rank(), to, 1, 400);
  Bytes second = content(world().rank(), to, 2, 400);
  Bytes in_first(400);
  Bytes in_second(400);
  const Message sends[] = {{to, 5, first.data(), 400}, {to, 5, second.data(), 400}};
  const Message receives[] = {{from, 5, in_first.data(), 400}, {from, 5, in_second.data(), 400}};
  transport->start(sends, receives)->wait();
  EXPECT_TRUE(in_first == content(from, world().rank(), 1, 400));
  EXPECT_TRUE(in_second == content(from, world().rank(), 2, 400));
}

TEST(Transport, TwoExchangesUnderWay) {
  const auto transport = make_transport("auto", world());
  AllToAll first(3, 200000);
  AllToAll second(4, 90000);
  first.start(*transport);
  second.start(*transport);
  second.exchange().wait();  // out of order
  second.check();
  first.exchange().wait();
  first.check();
}

TEST(Transport, MessagesBeyondTheCountsOfInt) {
  if (std::getenv("FLASHRING_TEST_LARGE") == nullptr) GTEST_SKIP() << "needs 5 GB a rank: FLASHRING_TEST_LARGE=1";
  const auto transport = make_transport("auto", world());
  const std::size_t size = (std::size_t{1} << 31U) + 4099;
  const int to = (world().rank() + 1) % world().size();
  const int from = (world().rank() + world().size() - 1) % world().size();
  Bytes out(size, static_cast<std::byte>(world().rank() + 1));
  Bytes in(size);
  out[size - 1] = std::byte{77};
  const Message send{to, 0, out.data(), size};
  const Message receive{from, 0, in.data(), size};
  transport->start({&send, 1}, {&receive, 1})->wait();
  EXPECT_EQ(in[0], static_cast<std::byte>(from + 1));
  EXPECT_EQ(in[size - 2], static_cast<std::byte>(from + 1));
  EXPECT_EQ(in[size - 1], std::byte{77});
}

bool has_nccl() {
  const std::vector<std::string_view> names = transport_names();
  return std::find(names.begin(), names.end(), "nccl") != names.end();
}

TEST(Transport, NamesAndRefusals) {
  try {
    make_transport("pigeon", world());
    ADD_FAILURE() << "pigeon was made";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("pigeon"), std::string::npos);
    for (const std::string_view name : transport_names())
      EXPECT_NE(std::string_view(error.what()).find(name), std::string_view::npos) << error.what();
  }
  if (has_nccl()) {
    try {
      make_transport("nccl", world());
      ADD_FAILURE() << "nccl took the memory of the host";
    } catch (const Error &error) {
      EXPECT_NE(std::string(error.what()).find("moves the memory of GPUs"), std::string::npos) << error.what();
    }
  }
  if (world().size() == 1) {
    EXPECT_STREQ(make_transport("self", world())->name(), "self");
  } else {
    EXPECT_THROW(make_transport("self", world()), Error);
    EXPECT_STREQ(make_transport("auto", world())->name(), "mpi");
  }
}

/// A device that cannot do anything but say that it has a queue, and who it is.
std::string identity;
Device queueing_device() {
  Device device{};
  device.queue = [] { return static_cast<void *>(&identity); };
  device.identity = [] { return identity.c_str(); };
  return device;
}

/// NCCL refuses two ranks on one GPU of a machine, so auto goes through the host there.
TEST(Transport, AutoOnGpusThatRanksShare) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const Device device = queueing_device();
  identity = world().rank() == world().size() - 1 ? "GPU 0" : "GPU " + std::to_string(world().rank());
  EXPECT_STREQ(make_transport("auto", world(), &device)->name(), "mpi");
}

/// Each rank has a GPU of its own. There is no such GPU, so NCCL is seen by what it says.
TEST(Transport, AutoOnGpusOfTheirOwn) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const Device device = queueing_device();
  identity = "GPU " + std::to_string(world().rank());
  if (!has_nccl()) {
    EXPECT_STREQ(make_transport("auto", world(), &device)->name(), "mpi");
    return;
  }
  try {
    EXPECT_STREQ(make_transport("auto", world(), &device, {std::chrono::seconds(10)})->name(), "nccl");
  } catch (const Error &error) {
    const std::string words = error.what();
    EXPECT_TRUE(words.find("cudaStreamCreate") != std::string::npos || words.find("nccl") != std::string::npos)
        << words;
    EXPECT_TRUE(error.common());
  }
}

/// The words of every rank, which must be alike.
std::string version_refusal(int library, int header) {
  std::string words;
  try {
    check_nccl_version(world(), library, header);
  } catch (const Error &error) {
    words = error.what();
    EXPECT_TRUE(error.common());
  }
  for (const std::string &other : world().gather(words)) EXPECT_EQ(other, words);
  return words;
}

TEST(Transport, VersionsOfNccl) {
  EXPECT_EQ(nccl_version_text(22809), "2.28.9");
  EXPECT_EQ(nccl_version_text(30001), "3.0.1");
  EXPECT_EQ(version_refusal(22809, 22809), "");
  EXPECT_EQ(version_refusal(21900, 22809), "");  // an older library of the same kind serves
  EXPECT_EQ(version_refusal(22999, 22809), "");
  EXPECT_NE(version_refusal(21899, 22809).find("is NCCL 2.18.99, this build needs 2.x from 2.19.0 on"),
            std::string::npos);
  EXPECT_NE(version_refusal(30000, 22809).find("is NCCL 3.0.0, this build needs 2.x"), std::string::npos);
  EXPECT_NE(version_refusal(0, 22809).find("does not tell its version"), std::string::npos);
  const int last = world().size() - 1;
  if (last == 0) return;
  const std::string other = version_refusal(world().rank() == last ? 22700 : 22809, 22809);
  EXPECT_EQ(other, "rank 0: -transport nccl: NCCL is 2.28.9 on rank 0 and 2.27.0 on rank " + std::to_string(last) +
                       "; give all ranks one library (LD_LIBRARY_PATH)");
  // One rank alone has what does not serve.
  EXPECT_NE(version_refusal(world().rank() == last ? 21800 : 22809, 22809).find("LD_LIBRARY_PATH"), std::string::npos);
}

TEST(Communicator, SumsAndExtremes) {
  const int size = world().size();
  const int rank = world().rank();
  EXPECT_EQ(world().sum(static_cast<double>(rank + 1)), size * (size + 1) / 2.0);
  EXPECT_EQ(world().sum(std::int64_t{1} << 40), size * (std::int64_t{1} << 40));
  EXPECT_EQ(world().max(static_cast<double>(rank)), size - 1);
  EXPECT_EQ(world().min(static_cast<double>(rank)), 0);
  EXPECT_EQ(world().max(-1.0 - rank), -1);
  std::vector<double> values = {static_cast<double>(rank), 1.0, -2.0};
  world().sum(std::span<double>(values));
  EXPECT_EQ(values, (std::vector<double>{size * (size - 1) / 2.0, 1.0 * size, -2.0 * size}));
  world().sum(std::span<double>());
}

TEST(Communicator, GatherKeepsRankOrderAndSizes) {
  const std::vector<std::string> texts = world().gather(std::string(static_cast<std::size_t>(world().rank() * 2), 'x'));
  ASSERT_EQ(static_cast<int>(texts.size()), world().size());
  for (std::size_t r = 0; r < texts.size(); ++r) EXPECT_EQ(texts[r].size(), 2 * r);
  const Bytes mine(3, static_cast<std::byte>(world().rank()));
  const Bytes all = world().gather(mine);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<std::byte>(i / 3));
}

TEST(Communicator, BroadcastFromEveryRoot) {
  for (int root = 0; root < world().size(); ++root) {
    Bytes bytes = content(world().rank(), 0, 0, 1000);
    world().broadcast(bytes, root);
    EXPECT_TRUE(bytes == content(root, 0, 0, 1000));
  }
}

TEST(Communicator, AgreeTellsEveryRankWhoFailed) {
  EXPECT_NO_THROW(world().agree([] {}));
  const int last = world().size() - 1;
  for (int failing : {0, last / 2, last}) {
    try {
      world().agree([&] {
        if (world().rank() >= failing) throw Error("value " + std::to_string(world().rank()) + " is bad");
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error &error) {
      const std::string number = std::to_string(failing);
      EXPECT_EQ(std::string(error.what()), "rank " + number + ": value " + number + " is bad");
      EXPECT_TRUE(error.common());
    }
  }
}

TEST(Communicator, AgreeInsideAgreeNamesTheRankOnce) {
  try {
    world().agree([&] { make_self_communicator()->agree([] { throw Error("bad"); }); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(), "rank 0: bad");
  }
}

TEST(Communicator, AgreeTakesOtherExceptions) {
  EXPECT_THROW(world().agree([] {
    if (world().rank() == world().size() - 1) throw std::runtime_error("");
  }),
               Error);
  EXPECT_THROW(world().agree([] {
    if (world().rank() == 0) std::vector<int>().at(3) = 1;
  }),
               Error);
}

}  // namespace
}  // namespace flashring::test
