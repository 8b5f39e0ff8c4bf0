// A rank that failed while the others hang ends in time, with its own words.
#include <gtest/gtest.h>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

/// All but rank 0 hang: they are elsewhere, waiting for a word that rank 0 says once it has given up.
TEST(MpiCommunicator, AFailedRankDoesNotWaitForRanksThatHang) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const auto communicator = make_mpi_communicator(MPI_COMM_WORLD, 0.25);
  std::string words;
  bool common = true;
  try {
    if (world().rank() == 0) communicator->agree([] { throw Error("the peer is lost"); });
  } catch (const Error &error) {
    words = error.what();
    common = error.common();
  }
  world().sum(1.0);
  if (world().rank() != 0) return;
  EXPECT_EQ(words.find("the peer is lost; the other ranks did not come within 0.25 seconds"), 0U) << words;
  EXPECT_FALSE(common) << "the others do not have it, so the job must be aborted";
}

/// Who failed looks at the clock, all others wait: both are one collective call.
TEST(MpiCommunicator, PatienceChangesNothingWhereAllCome) {
  const auto communicator = make_mpi_communicator(MPI_COMM_WORLD, 60);
  const int last = world().size() - 1;
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(communicator->any(false));
    EXPECT_TRUE(communicator->any(world().rank() == round % world().size()));
    EXPECT_EQ(communicator->sum(1.0), world().size());
    EXPECT_THROW(communicator->agree([&] {
      if (world().rank() == last) throw Error("bad");
    }),
                 Error);
  }
}

}  // namespace
}  // namespace flashring::test
