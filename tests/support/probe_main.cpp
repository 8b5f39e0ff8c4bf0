// Tests that fail on purpose, to see that the main tells every rank, names the rank, and leaves nobody waiting. CTest
// runs each alone and reads what it prints.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "support/world.hpp"

namespace flashring::test {
namespace {

bool last_rank() { return world().rank() == world().size() - 1; }

TEST(Probe, OneRankFails) {
  if (last_rank()) ADD_FAILURE() << "words of the last rank";
}

TEST(Probe, OneRankThrowsWhileOthersWait) {
  if (last_rank()) throw std::runtime_error("thrown by the last rank");
  world().sum(1.0);
}

TEST(Probe, OneRankHangs) {
  while (last_rank()) std::this_thread::sleep_for(std::chrono::seconds(1));
  world().sum(1.0);
}

TEST(Probe, OneRankExits) {
  if (last_rank()) std::exit(0);
  world().sum(1.0);
}

}  // namespace
}  // namespace flashring::test
