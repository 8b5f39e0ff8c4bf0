// The communicator over files: every word between processes of their own, and what all of them are told when a rank
// aborts, never comes, or finds a folder that was used before.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "flashring/check.hpp"
#include "flashring/communicator.hpp"

namespace flashring::test {
namespace {

/// Longer than any wait of a rank that is there, on a machine with other work.
constexpr double long_patience = 60;

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "flashring-files-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string &path() const { return path_; }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::string path_;
};

/// What a rank said before it ended, and how it ended.
struct Ending {
  std::string text;
  int exit_code = 0;
};

using Work = std::function<std::string()>;  // what is wrong, or nothing

/// Runs `work` in a process of its own, which leaves without returning: its text goes to a pipe.
std::pair<pid_t, int> start(const Work &work) {
  int ends[2];
  if (pipe(ends) != 0) return {-1, -1};
  const pid_t process = fork();
  if (process != 0) {
    close(ends[1]);
    return {process, ends[0]};
  }
  std::string text;
  try {
    text = work();
  } catch (const std::exception &error) {
    text = std::string("error: ") + error.what();
  }
  const ssize_t written = write(ends[1], text.data(), text.size());
  _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
}

Ending wait_for(std::pair<pid_t, int> process) {
  Ending ending;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(process.second, buffer, sizeof buffer)) > 0;)
    ending.text.append(buffer, static_cast<std::size_t>(count));
  close(process.second);
  int status = 0;
  waitpid(process.first, &status, 0);
  ending.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ending;
}

/// `work` on the ranks from 0 to `started` of `size`.
std::vector<Ending> run(const Folder &folder, int size, int started, double patience,
                        const std::function<std::string(const Communicator &)> &work) {
  std::vector<std::pair<pid_t, int>> processes;
  for (int rank = 0; rank < started; ++rank)
    processes.push_back(start([&, rank] {
      const auto communicator = make_file_communicator(folder.path(), rank, size, patience);
      return work(*communicator);
    }));
  std::vector<Ending> endings;
  for (const auto &process : processes) endings.push_back(wait_for(process));
  return endings;
}

void expect_silence(const std::vector<Ending> &endings) {
  for (std::size_t r = 0; r < endings.size(); ++r) {
    EXPECT_EQ(endings[r].text, "") << "rank " << r;
    EXPECT_EQ(endings[r].exit_code, 0) << "rank " << r;
  }
}

void expect_words(const Ending &ending, const std::string &words) {
  EXPECT_NE(ending.text.find(words), std::string::npos) << "said: '" << ending.text << "'";
}

class Ranks : public ::testing::TestWithParam<int> {};

/// Numbers whose sum depends on the order of additions, from three on.
double number(int rank) {
  const double large = std::ldexp(1.0, 60);
  return rank % 3 == 0 ? large : rank % 3 == 1 ? 1.0 + rank : -large;
}

TEST_P(Ranks, SumsAndMaximaAreInTheOrderOfRanks) {
  const Folder folder;
  const int size = GetParam();
  expect_silence(run(folder, size, size, long_patience, [size](const Communicator &c) -> std::string {
    double expected = number(0);
    for (int r = 1; r < size; ++r) expected += number(r);
    for (int round = 0; round < 50; ++round) {
      if (c.sum(number(c.rank())) != expected) return "sum of doubles";
      std::vector<std::int64_t> counts = {c.rank(), (std::int64_t{1} << 60) + round, -1};
      c.sum(std::span<std::int64_t>(counts));
      if (counts != std::vector<std::int64_t>{size * (size - 1) / 2, size * ((std::int64_t{1} << 60) + round), -size})
        return "sum of whole numbers";
      std::vector<double> values = {-1.0 - c.rank(), 2.0 * c.rank(), 7};
      c.max(std::span<double>(values));
      if (values != std::vector<double>{-1.0, 2.0 * (size - 1), 7}) return "max";
      if (c.min(3.0 - c.rank()) != 4.0 - size) return "min";
    }
    c.sum(std::span<double>());
    return c.rank() < size && c.size() == size ? "" : "rank or size";
  }));
}

TEST_P(Ranks, GatherAndBroadcastKeepEveryByte) {
  const Folder folder;
  const int size = GetParam();
  expect_silence(run(folder, size, size, long_patience, [size](const Communicator &c) -> std::string {
    const std::vector<std::string> texts = c.gather(std::string(static_cast<std::size_t>(c.rank()) * 70000, 'x'));
    for (std::size_t r = 0; r < texts.size(); ++r)
      if (texts[r] != std::string(r * 70000, 'x')) return "gather";
    for (int root = 0; root < size; ++root) {
      std::vector<std::byte> bytes(100000, static_cast<std::byte>(c.rank()));
      c.broadcast(bytes, root);
      if (bytes != std::vector<std::byte>(100000, static_cast<std::byte>(root))) return "broadcast";
    }
    return "";
  }));
  EXPECT_LE(folder.files(), 2 * static_cast<std::size_t>(size)) << "old files stay";
}

TEST_P(Ranks, AgreeTellsEveryRankWhoFailed) {
  const Folder folder;
  const int size = GetParam();
  expect_silence(run(folder, size, size, long_patience, [size](const Communicator &c) -> std::string {
    c.agree([] {});
    try {
      c.agree([&] {
        if (c.rank() == size - 1) throw Error("bad value");
      });
      return "nothing was thrown";
    } catch (const Error &error) {
      const bool right = error.what() == "rank " + std::to_string(size - 1) + ": bad value" && error.common();
      return right ? "" : error.what();
    }
  }));
}

TEST_P(Ranks, AnAbortIsSeenByAll) {
  const Folder folder;
  const int size = GetParam();
  const std::vector<Ending> endings = run(folder, size, size, long_patience, [size](const Communicator &c) {
    c.sum(1.0);
    if (c.rank() == size - 1) c.abort(9);
    c.sum(1.0);
    return std::string("nobody aborted");
  });
  EXPECT_EQ(endings.back().exit_code, 9);
  for (std::size_t r = 0; r + 1 < endings.size(); ++r)
    expect_words(endings[r], "rank " + std::to_string(size - 1) + " has given up with exit code 9");
}

INSTANTIATE_TEST_SUITE_P(Every, Ranks, ::testing::Values(1, 2, 3, 5));

TEST(FileCommunicator, AMissingRankIsNamedInTime) {
  const Folder folder;
  const std::vector<Ending> endings = run(folder, 3, 2, 0.5, [](const Communicator &) { return std::string("came"); });
  bool named = false;
  for (const Ending &ending : endings) {
    EXPECT_EQ(ending.text.find("error: rank "), 0U) << ending.text;
    named = named || ending.text.find("rank 2 did not come within 0.5 seconds") != std::string::npos;
  }
  EXPECT_TRUE(named) << endings[0].text;
}

TEST(FileCommunicator, ARankThatIsLostLaterIsNamed) {
  const Folder folder;
  const std::vector<Ending> endings = run(folder, 2, 2, 0.5, [](const Communicator &c) {
    if (c.rank() == 1) _exit(3);
    c.sum(1.0);
    return std::string("came");
  });
  expect_words(endings[0], "rank 1 did not come within 0.5 seconds");
}

TEST(FileCommunicator, AFolderIsGoodForOneRun) {
  const Folder folder;
  const auto sum = [](const Communicator &c) { return c.sum(1.0) > 0 ? std::string() : std::string("sum"); };
  expect_silence(run(folder, 2, 2, long_patience, sum));
  for (const int size : {1, 2, 3})
    for (const Ending &ending : run(folder, size, size, long_patience, sum))
      EXPECT_EQ(ending.text.find("error: "), 0U) << size << " ranks: '" << ending.text << "'";
  expect_words(run(folder, 1, 1, long_patience, sum)[0], "give an empty folder to each run");
  // A run that ended before its second word leaves no more than the first files of others.
  const Folder half;
  std::ofstream(half.path() + "/0.1") << "1234567";
  const std::vector<Ending> endings = run(half, 2, 2, long_patience, sum);
  expect_words(endings[1], "give an empty folder to each run");
  EXPECT_EQ(endings[0].text.find("error: "), 0U) << endings[0].text;
}

TEST(FileCommunicator, BadArgumentsAreNamed) {
  const Folder folder;
  EXPECT_THROW(make_file_communicator(folder.path(), 2, 2), Error);
  EXPECT_THROW(make_file_communicator(folder.path(), -1, 2), Error);
  try {
    make_file_communicator(folder.path() + "/missing", 0, 1);
    ADD_FAILURE() << "no error";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("/missing"), std::string::npos) << error.what();
  }
}

TEST(FileCommunicator, RanksOfOtherSizesEnd) {
  const Folder folder;
  const auto in = [&](int rank, int size) {
    return start([&folder, rank, size] {
      make_file_communicator(folder.path(), rank, size, long_patience);
      return std::string("came");
    });
  };
  const auto first = in(0, 2);
  const auto second = in(1, 3);
  const Ending endings[] = {wait_for(first), wait_for(second)};
  expect_words(endings[0], "start all with one number of ranks");
  EXPECT_EQ(endings[1].text.find("error: "), 0U) << endings[1].text;
}

}  // namespace
}  // namespace flashring::test
