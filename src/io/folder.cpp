#include "io/folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {
namespace {

namespace fs = std::filesystem;

constexpr const char *unfinished = ".unfinished";  // ends the name of a file that is not complete

/// The first part of the path that exists and is no folder.
void check_parents(const fs::path &path) {
  fs::path part;
  for (const fs::path &name : path) {
    part /= name;
    std::error_code error;
    const fs::file_status status = fs::status(part, error);
    if (status.type() == fs::file_type::not_found || status.type() == fs::file_type::directory) continue;
    FLASHRING_CHECK(status.type() != fs::file_type::none, "output folder ", path.string(), ": ", part.string(),
                    " cannot be looked at (", error.message(), "); choose another path");
    throw Error(detail::concatenate("output folder ", path.string(), ": ", part.string(),
                                    " is a file, not a folder; choose another path or move that file away"));
  }
}

/// Permissions, read-only mounts, quotas: only a real file tells.
void check_writable(const fs::path &path) {
  std::string name = (path / ".flashring-XXXXXX").string();
  const int descriptor = ::mkstemp(name.data());
  FLASHRING_CHECK(descriptor >= 0, "output folder ", path.string(), ": no file can be written there (",
                  std::strerror(errno), "); choose another folder or change its permissions");
  const char text[] = "flashring";
  const bool written = ::write(descriptor, text, sizeof(text)) == static_cast<ssize_t>(sizeof(text));
  const int reason = errno;
  ::close(descriptor);
  ::unlink(name.c_str());
  FLASHRING_CHECK(written, "output folder ", path.string(), ": a file there cannot be filled (", std::strerror(reason),
                  "); make room or choose another folder");
}

void prepare_folder(const std::string &path, bool overwrite, FolderLock &lock) {
  FLASHRING_CHECK(!path.empty(), "output folder: the path is empty; give the name of a folder");
  check_parents(path);
  std::error_code error;
  fs::create_directories(path, error);
  FLASHRING_CHECK(!error && fs::is_directory(path), "output folder ", path, ": cannot be made (", error.message(),
                  "); choose another path or change the permissions of its parent");
  lock.take(path);
  if (!overwrite) check_no_run(path);
  check_writable(path);
}

/// Every rank writes into the folder: a disk that only one machine sees does not do. Network folders may appear late.
void check_seen(const std::string &path) {
  std::error_code error;
  for (int attempt = 0; attempt < 20 && !fs::is_directory(path, error); ++attempt)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  FLASHRING_CHECK(fs::is_directory(path, error), "output folder ", path,
                  ": made by rank 0, but not seen here; choose a folder on a file system that all machines share");
}

}  // namespace

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FolderLock::take(const std::string &path) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  // Other reasons: a file system without locks.
  FLASHRING_CHECK(errno != EWOULDBLOCK, "output folder ", path,
                  ": another run is using it now; choose another folder, or wait for its end");
}

void open_folder(const Communicator &communicator, const std::string &path, bool overwrite, FolderLock &lock) {
  communicator.agree([&] {
    if (communicator.rank() == 0) prepare_folder(path, overwrite, lock);
  });
  communicator.agree([&] { check_seen(path); });
}

void check_no_run(const fs::path &path) {
  // Arrays of attention too: a folder with the inputs of a computation may hold an o.npy of its user.
  for (const char *name : {"report.json", "results.h5", "neighbours.h5", "sweep.json", "o.npy", "dq.npy", "dk.npy",
                           "dv.npy", "dx.npy", "dalpha.npy"}) {
    std::error_code error;
    FLASHRING_CHECK(!fs::exists(path / name, error), "output folder ", path.string(), ": holds another run (",
                    (path / name).string(), "); choose another folder, or replace that run with -overwrite");
  }
}

void check_model_stays(const std::string &path, const std::string &model) {
  std::error_code error;
  FLASHRING_CHECK(!fs::equivalent(fs::path(path) / "results.h5", model, error), "output folder ", path,
                  ": holds the model ", model, ", which the run would replace; choose another folder");
}

std::string unfinished_name(const fs::path &path, const std::string &name) {
  return (path / (name + unfinished)).string();
}

void write_text(const fs::path &file, const std::string &text) {
  FileHandle handle(file.string(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
  handle.write(std::as_bytes(std::span(text)), 0);
  handle.close();
}

void move_into_place(const fs::path &from, const fs::path &to) {
  // The name must not outlive its contents after a power failure.
  const int descriptor = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
  std::error_code error;
  fs::rename(from, to, error);
  FLASHRING_CHECK(!error, to.string(), ": ", from.string(), " cannot be renamed to it (", error.message(),
                  "); the contents are complete under that name");
}

}  // namespace flashring
