// The folder of a run. Checks come before the computation, because an error after hours of it would lose the results.
// Files are complete under temporary names before the first of them takes its place, so a failure changes nothing.
#include "flashring/run_folder.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <system_error>

#include "flashring/check.hpp"
#include "io/folder.hpp"

namespace flashring {
namespace {

namespace fs = std::filesystem;

/// The old report goes first and the new one comes last, so that whatever happens between, no report stands beside
/// results of another run.
void move_files(const RunFolder &folder) {
  const fs::path path = folder.path();
  std::error_code ignored;
  fs::remove(path / run_files.back(), ignored);
  for (const char *name : run_files) {
    const fs::path from = folder.unfinished(name);
    if (fs::exists(from, ignored)) {
      move_into_place(from, path / name);
    } else {
      fs::remove(path / name, ignored);  // a picture of an earlier run would belong to other results
    }
  }
}

}  // namespace

RunFolder::RunFolder(const Communicator &communicator, std::string path, bool overwrite)
    : communicator_(communicator), path_(std::move(path)) {
  open_folder(communicator_, path_, overwrite, lock_);
}

RunFolder::~RunFolder() {
  if (begun_) discard();
}

std::string RunFolder::unfinished(const std::string &name) const { return unfinished_name(path_, name); }

void RunFolder::begin() {
  discard();
  begun_ = true;
}

void RunFolder::discard() {
  std::error_code ignored;
  if (communicator_.rank() == 0)
    for (const char *name : run_files) fs::remove(unfinished(name), ignored);
  begun_ = false;
}

/// What the file system does not tell (a quota) is found while writing.
void RunFolder::check_space(const char *what, double bytes) const {
  struct statvfs space {};
  if (::statvfs(path_.c_str(), &space) != 0) return;
  const double free = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  FLASHRING_CHECK(free >= bytes, "output folder ", path_,
                  fmt::format(": {} {:.0f} MB and {:.0f} MB are free; make room or choose another folder", what,
                              bytes / 1e6, free / 1e6));
}

void RunFolder::complete(const std::string &report) {
  communicator_.agree([&] {
    if (communicator_.rank() != 0) return;
    write_text(unfinished("report.json"), report);
    move_files(*this);
  });
  begun_ = false;
}

}  // namespace flashring
