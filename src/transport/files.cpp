// Communicator over files: processes that a script started on a machine, or on machines with a common file system,
// where there is no MPI. For set-up words; blocks of points go another way (transport nccl).
//
// Every word is one exchange: rank r writes file `n.r`, n counting exchanges, and reads those of all others.
//
//   write   under a temporary name, then renamed: who sees a file sees all of it
//   wait    looks for the file, less and less often, and for a file that says that a rank has aborted
//   remove  at exchange n a rank removes its file of n-2: a rank begins n-1 after it has read all of n-2, and n begins
//           when all have begun n-1
//
// Sums are added in the order of ranks by everybody, so they are the same everywhere. Cost of an exchange with P ranks:
// P files written, P^2 read, and half a millisecond or so to see that one has come.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "flashring/check.hpp"
#include "flashring/communicator.hpp"

namespace flashring {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<std::byte>;

/// Time between two looks at a file: short at first, long enough later to leave a file server in peace.
constexpr std::chrono::microseconds first_pause{50};
constexpr std::chrono::microseconds longest_pause{10000};

const char *const abort_name = "aborted";

class FileCommunicator final : public Communicator {
 public:
  FileCommunicator(std::string folder, int rank, int size, double patience_seconds)
      : folder_(std::move(folder)), rank_(rank), size_(size), patience_(patience_seconds) {}

  /// Sees that nobody was here before, then that all ranks think of the same number of ranks. Who finds otherwise tells
  /// the others, so that they need not wait.
  void open() {
    try {
      check_fresh();
      check_sizes();
    } catch (const Error &) {
      announce_abort(1);
      throw;
    }
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void sum(std::span<double> values) const override {
    combine(values, [](double a, double b) { return a + b; });
  }
  void sum(std::span<std::int64_t> values) const override {
    combine(values, [](std::int64_t a, std::int64_t b) { return a + b; });
  }
  void max(std::span<double> values) const override {
    combine(values, [](double a, double b) { return std::max(a, b); });
  }

  /// The others write empty files: that they have begun an exchange is what the removal of files needs.
  void broadcast(std::span<std::byte> bytes, int root) const override {
    const std::vector<Bytes> all = exchange(rank_ == root ? bytes : std::span<std::byte>());
    const Bytes &given = all[static_cast<std::size_t>(root)];
    FLASHRING_REQUIRE(given.size() == bytes.size(), "rank ", root, " gave ", given.size(), " bytes of ", bytes.size());
    std::copy(given.begin(), given.end(), bytes.begin());
  }

  Bytes gather(std::span<const std::byte> bytes) const override {
    Bytes joined;
    for (const Bytes &part : exchange(bytes)) joined.insert(joined.end(), part.begin(), part.end());
    return joined;
  }

  [[noreturn]] void abort(int exit_code) const override {
    announce_abort(exit_code);
    std::_Exit(exit_code);
  }

 private:
  template <class T>
  static T value_at(const Bytes &bytes, std::size_t index) {
    T value{};
    std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
    return value;
  }

  std::filesystem::path path(const std::string &name) const { return std::filesystem::path(folder_) / name; }
  std::filesystem::path path_of(std::uint64_t exchange, int rank) const {
    return path(std::to_string(exchange) + "." + std::to_string(rank));
  }

  /// Before the first exchange there may be the first files of other ranks, and nothing else.
  void check_fresh() const {
    std::error_code error;
    std::filesystem::directory_iterator files(folder_, error);
    FLASHRING_CHECK(!error, "the folder ", folder_, " for the files of ranks cannot be read: ", error.message());
    for (const auto &file : files) {
      const std::string name = file.path().filename().string();
      FLASHRING_CHECK(name != abort_name, "in the folder ", folder_,
                      " a rank has given up already, or it was used before; give an empty folder to each run");
      const auto rank = name.rfind("0.", 0) == 0 ? std::atoi(name.c_str() + 2) : rank_;
      FLASHRING_CHECK(rank != rank_ && rank < size_, "the folder ", folder_, " holds ", name,
                      " of another run; give an empty folder to each run");
    }
  }

  void write(const std::string &name, std::span<const std::byte> bytes) const {
    const std::filesystem::path temporary = path("0." + std::to_string(rank_) + ".part");
    std::ofstream file(temporary, std::ios::binary);
    file.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.close();
    std::error_code error;
    if (file) std::filesystem::rename(temporary, path(name), error);
    FLASHRING_CHECK(file && !error, "a file cannot be written to ", folder_, "; is the disk full?");
  }

  void check_sizes() const {
    const auto mine = static_cast<std::int64_t>(size_);
    const Bytes all = gather(std::as_bytes(std::span(&mine, 1)));
    for (int r = 0; r < size_; ++r) {
      const auto theirs = value_at<std::int64_t>(all, static_cast<std::size_t>(r));
      FLASHRING_CHECK(theirs == size_, "rank ", r, " in ", folder_, " was started as one of ", theirs, ", rank ", rank_,
                      " as one of ", size_, "; start all with one number of ranks");
    }
  }

  /// For those who wait. Nothing more can be done where it cannot be written: they wait for as long as they will.
  void announce_abort(int exit_code) const {
    const std::string text = std::to_string(rank_) + " " + std::to_string(exit_code);
    try {
      write(abort_name, std::as_bytes(std::span<const char>(text)));
    } catch (const Error &) {
      return;
    }
  }

  void check_abort() const {
    std::ifstream file(path(abort_name));
    int who = 0;
    int exit_code = 0;
    if (file >> who >> exit_code)
      throw Error(detail::concatenate("rank ", who, " has given up with exit code ", exit_code,
                                      " (its own message says why); rank ", rank_, " ends, too"));
  }

  Bytes read(std::uint64_t number, int peer) const {
    const std::filesystem::path wanted = path_of(number, peer);
    const auto since = Clock::now();
    for (auto pause = first_pause;; pause = std::min(2 * pause, longest_pause)) {
      std::ifstream file(wanted, std::ios::binary);
      if (file) {
        std::ostringstream content;
        if (file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
        const std::string text = content.str();
        const auto *bytes = reinterpret_cast<const std::byte *>(text.data());
        return {bytes, bytes + text.size()};
      }
      check_abort();
      FLASHRING_CHECK(Clock::now() - since < patience_, "rank ", peer, " did not come within ", patience_.count(),
                      " seconds: it was not started, is lost or hangs; rank ", rank_, " waited for it in ", folder_);
      std::this_thread::sleep_for(pause);
    }
  }

  std::vector<Bytes> exchange(std::span<const std::byte> bytes) const {
    const std::uint64_t number = next_++;
    std::error_code ignored;
    if (number >= 2) std::filesystem::remove(path_of(number - 2, rank_), ignored);
    write(path_of(number, rank_).filename().string(), bytes);
    std::vector<Bytes> all;
    for (int r = 0; r < size_; ++r) all.push_back(r == rank_ ? Bytes(bytes.begin(), bytes.end()) : read(number, r));
    return all;
  }

  template <class T, class Combine>
  void combine(std::span<T> values, Combine two) const {
    const std::vector<Bytes> all = exchange(std::as_bytes(values));
    for (int r = 0; r < size_; ++r) {
      const Bytes &theirs = all[static_cast<std::size_t>(r)];
      FLASHRING_REQUIRE(theirs.size() == values.size_bytes(), "rank ", r, " gave ", theirs.size(), " bytes of ",
                        values.size_bytes());
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = r == 0 ? value_at<T>(theirs, i) : two(values[i], value_at<T>(theirs, i));
    }
  }

  std::string folder_;
  int rank_;
  int size_;
  std::chrono::duration<double> patience_;
  mutable std::uint64_t next_ = 0;  // exchanges that were begun
};

}  // namespace

std::unique_ptr<Communicator> make_file_communicator(const std::string &folder, int rank, int size,
                                                     double patience_seconds) {
  FLASHRING_CHECK(size >= 1 && rank >= 0 && rank < size, "rank ", rank, " of ", size, " ranks: ranks count from 0");
  auto communicator = std::make_unique<FileCommunicator>(folder, rank, size, patience_seconds);
  communicator->open();
  return communicator;
}

}  // namespace flashring
