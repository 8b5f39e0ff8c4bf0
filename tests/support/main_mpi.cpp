// main of the tests under MPI. Every rank runs every test. After each test the ranks agree on its outcome: a failure on
// any rank is a failure on all, and rank 0 prints it with the rank's number; the other ranks print nothing. A rank that
// failed cannot know whether the others still wait for it inside the test, so it waits for their agreement a short
// while only; and a thread ends the job when a test takes too long.
#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <sstream>
#include <thread>

#include "flashring/communicator_mpi.hpp"
#include "support/watchdog.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

/// Seconds that a failed rank waits for the others to finish the test.
constexpr double patience_after_failure = 10;

[[noreturn]] void end_job(int rank, const std::string &text) {
  std::fprintf(stderr, "rank %d: %s\n", rank, text.c_str());
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, 3);
  std::_Exit(3);
}

/// Makes the outcome of every test common.
class Agreement : public ::testing::EmptyTestEventListener {
 public:
  explicit Agreement(MPI_Comm comm) : comm_(comm) {
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
    watchdog_ = std::make_unique<Watchdog>([rank = rank_](const std::string &what) {
      end_job(rank, "watchdog: " + what + " took longer than " + std::to_string(test_seconds()) + " s");
    });
  }

  void OnTestStart(const ::testing::TestInfo &info) override {
    name_ = std::string(info.test_suite_name()) + "." + info.name();
    failures_.clear();
    agreed_ = false;
    watchdog_->start(name_);
  }

  void OnTestPartResult(const ::testing::TestPartResult &part) override {
    if (!part.failed() || agreed_) return;
    std::ostringstream text;
    text << (part.file_name() == nullptr ? "" : part.file_name()) << ":" << part.line_number() << ": "
         << part.message();
    failures_ += text.str() + "\n";
  }

  void OnTestEnd(const ::testing::TestInfo & /*info*/) override {
    const std::vector<std::string> all = gather(failures_);
    agreed_ = true;
    watchdog_->stop();
    if (rank_ == 0) std::fflush(stdout);
    for (int r = 0; r < size_; ++r)
      if (r != rank_ && !all[static_cast<std::size_t>(r)].empty())
        ADD_FAILURE() << "rank " << r << ": " << all[static_cast<std::size_t>(r)];
  }

 private:
  // Every rank's text on every rank, by non-blocking calls on a communicator of its own: a rank that left the test
  // early must not match the calls the others still make inside it.
  std::vector<std::string> gather(const std::string &mine) {
    const int length = static_cast<int>(mine.size());
    std::vector<int> lengths(static_cast<std::size_t>(size_));
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, comm_, &request);
    wait(request);
    std::vector<int> offsets(lengths.size(), 0);
    for (std::size_t r = 1; r < offsets.size(); ++r) offsets[r] = offsets[r - 1] + lengths[r - 1];
    std::string all(static_cast<std::size_t>(offsets.back() + lengths.back()), ' ');
    MPI_Iallgatherv(mine.data(), length, MPI_CHAR, all.data(), lengths.data(), offsets.data(), MPI_CHAR, comm_,
                    &request);
    wait(request);
    std::vector<std::string> texts;
    for (std::size_t r = 0; r < lengths.size(); ++r)
      texts.push_back(all.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(lengths[r])));
    return texts;
  }

  void wait(MPI_Request &request) {
    const auto begin = std::chrono::steady_clock::now();
    int done = 0;
    while (true) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done != 0) return;
      const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
      if (!failures_.empty() && waited.count() > std::min(patience_after_failure, test_seconds() / 2))
        end_job(rank_, name_ + " failed here while other ranks still wait inside it:\n" + failures_);
      std::this_thread::sleep_for(std::chrono::microseconds(waited.count() < 0.001 ? 5 : 200));
    }
  }

  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  bool agreed_ = false;
  std::string name_;
  std::string failures_;
  std::unique_ptr<Watchdog> watchdog_;
};

int run_tests() {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  const auto communicator = make_mpi_communicator(MPI_COMM_WORLD);
  set_world(communicator.get());
  auto &listeners = ::testing::UnitTest::GetInstance()->listeners();
  if (rank != 0) delete listeners.Release(listeners.default_result_printer());
  // Ends of tests are told in reverse order, so the ranks agree before rank 0 prints "OK" or "FAILED".
  auto *agreement = new Agreement(comm);
  listeners.Append(agreement);
  const int result = RUN_ALL_TESTS();
  delete listeners.Release(agreement);
  remove_scratch_folders();
  set_world(nullptr);
  MPI_Comm_free(&comm);
  return result;
}

}  // namespace
}  // namespace flashring::test

int main(int argc, char **argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  ::testing::InitGoogleTest(&argc, argv);
  const int result = flashring::test::run_tests();
  MPI_Finalize();
  return result;
}
