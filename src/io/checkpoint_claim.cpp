// Claiming the name of a checkpoint.
//
// Purpose   Two runs with one -checkpoint name are told so; a run that was killed does not block the next one.
// Steps     1. FILE.owner is made where there is none (O_EXCL, which network file systems keep to), locked, filled.
//           2. Where there is one, a lock that somebody holds is that of a living run. A lock that is free proves the
//              end of a run on this machine alone: there are file systems whose locks other machines do not see.
//           3. The owner renews the time of its file; without that for long enough the run on another machine is dead.
//           4. The file of a dead run is removed, and 1. comes again.
// Cost      A thread that sleeps; on rank 0 alone.
// Reference open(2), "O_EXCL" on NFS; flock(2), "NFS details".
#include "io/checkpoint_claim.hpp"

#include <sys/file.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <fstream>
#include <mutex>
#include <thread>

#include "flashring/check.hpp"
#include "io/checkpoint_file.hpp"
#include "io/file_handle.hpp"

namespace flashring {
namespace {

constexpr std::size_t most_bytes = 4096;  // of FILE.owner

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

/// Another one after every start of the machine; empty where the system does not tell.
std::string machine() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  return id;
}

std::string describe_self() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> since{};
  std::strftime(since.data(), since.size(), "%Y-%m-%d %H:%M:%S", &utc);
  return detail::concatenate("host ", host.data(), "\nprocess ", ::getpid(), "\nsince ", since.data(), " UTC\nmachine ",
                             machine(), "\n");
}

std::string value_in(const std::string &text, const std::string &name) {
  const std::size_t at = text.find(name + " ");
  if (at == std::string::npos) return "unknown";
  const std::size_t begin = at + name.size() + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

struct stat status_of(const FileHandle &handle) {
  struct stat status {};
  ::fstat(handle.descriptor(), &status);
  return status;
}

bool same_file(const struct stat &a, const struct stat &b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

/// Whether the name still belongs to that open file.
bool is_named(const FileHandle &handle, const std::string &name) {
  struct stat there {};
  return ::stat(name.c_str(), &there) == 0 && same_file(status_of(handle), there);
}

std::string text_of(const FileHandle &handle) {
  std::string text(most_bytes, '\0');
  text.resize(handle.read(std::as_writable_bytes(std::span(text)), 0));
  return text;
}

/// Whether the time of the file is renewed while this waits. Opened anew, since network file systems remember times of
/// open files.
bool shows_life(const std::string &name, const FileHandle &handle, double seconds) {
  const struct stat before = status_of(handle);
  sleep_for(seconds);
  struct stat after {};
  if (::stat(name.c_str(), &after) != 0) return false;
  after = status_of(FileHandle(name, O_RDONLY | O_CLOEXEC));
  return !same_file(before, after) || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
         before.st_mtim.tv_nsec != after.st_mtim.tv_nsec;
}

/// Removes the file where its run has ended, throws where it lives.
void remove_dead(const std::string &file, const std::string &name, double watch) {
  const FileHandle handle(name, O_RDWR | O_CLOEXEC);
  std::string text = text_of(handle);
  for (int attempt = 0; attempt < 20 && text.empty(); ++attempt) {  // made a moment ago, and not filled yet
    sleep_for(0.1);
    text = text_of(handle);
  }
  const bool locked = ::flock(handle.descriptor(), LOCK_EX | LOCK_NB) == 0;
  bool alive = !locked && errno == EWOULDBLOCK;
  const bool here = locked && !machine().empty() && value_in(text, "machine") == machine();
  if (!alive && !here) alive = shows_life(name, handle, watch);
  FLASHRING_CHECK(!alive, file, ": process ", value_in(text, "process"), " on ", value_in(text, "host"),
                  " writes it since ", value_in(text, "since"),
                  "; give another name to -checkpoint or end that run; where it is no more, remove ", name);
  if (is_named(handle, name)) ::unlink(name.c_str());
}

}  // namespace

/// FILE.owner of this process.
class CheckpointClaim::Owner {
 public:
  Owner(std::string name, double between)
      : name_(std::move(name)), handle_(name_, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC) {
    ::flock(handle_.descriptor(), LOCK_EX | LOCK_NB);  // where there are locks
    fill();
    life_ = std::jthread([this, between](const std::stop_token &ended) { renew(ended, between); });
  }
  Owner(const Owner &) = delete;
  Owner &operator=(const Owner &) = delete;
  ~Owner() {
    if (is_ours()) ::unlink(name_.c_str());
  }

  bool is_ours() const { return is_named(handle_, name_); }

 private:
  /// Permissions, read-only mounts, quotas: only a real file tells.
  void fill() const {
    const std::string text = describe_self();
    try {
      handle_.write(std::as_bytes(std::span(text)), 0);
      handle_.sync();
    } catch (const Error &) {
      ::unlink(name_.c_str());
      throw;
    }
  }

  void renew(const std::stop_token &ended, double between) const {
    std::mutex mutex;
    std::condition_variable_any woken;
    std::unique_lock lock(mutex);
    while (!ended.stop_requested()) {
      woken.wait_for(lock, ended, std::chrono::duration<double>(between), [] { return false; });
      ::futimens(handle_.descriptor(), nullptr);
    }
  }

  std::string name_;
  FileHandle handle_;
  std::jthread life_;  // ends before the file is closed
};

CheckpointClaim::CheckpointClaim(const Communicator &communicator, const std::string &file, const ClaimTimes &times) {
  communicator.agree([&] {
    if (communicator.rank() != 0) return;
    FLASHRING_CHECK(!file.empty(), "-checkpoint: the name is empty; give the name of a file");
    check_replaceable(file);
    const std::string name = file + ".owner";
    const auto exists = [&] { return ::access(name.c_str(), F_OK) == 0; };
    for (int attempt = 0; owner_ == nullptr; ++attempt) {
      if (exists()) remove_dead(file, name, times.watch);
      try {
        owner_ = std::make_unique<Owner>(name, times.between);
      } catch (const Error &) {
        if (attempt > 0 || !exists()) throw;  // otherwise another run made it this moment
      }
    }
  });
}

CheckpointClaim::~CheckpointClaim() = default;

void CheckpointClaim::check() const {
  FLASHRING_CHECK(owner_ == nullptr || owner_->is_ours(),
                  "another run has taken the name while this one was stopped; end one of the two");
}

}  // namespace flashring
