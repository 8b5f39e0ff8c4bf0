// main of the tests in a build without MPI: one process, the same limit per test.
#include <gtest/gtest.h>

#include <cstdio>

#include "support/watchdog.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

class Limit : public ::testing::EmptyTestEventListener {
 public:
  void OnTestStart(const ::testing::TestInfo &info) override {
    watchdog_.start(std::string(info.test_suite_name()) + "." + info.name());
  }
  void OnTestEnd(const ::testing::TestInfo & /*info*/) override { watchdog_.stop(); }

 private:
  Watchdog watchdog_{[](const std::string &what) {
    std::fprintf(stderr, "watchdog: %s took longer than %g s\n", what.c_str(), test_seconds());
    std::_Exit(3);
  }};
};

}  // namespace
}  // namespace flashring::test

int main(int argc, char **argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const auto communicator = flashring::make_self_communicator();
  flashring::test::set_world(communicator.get());
  ::testing::UnitTest::GetInstance()->listeners().Append(new flashring::test::Limit);
  const int result = RUN_ALL_TESTS();
  flashring::test::remove_scratch_folders();
  return result;
}
