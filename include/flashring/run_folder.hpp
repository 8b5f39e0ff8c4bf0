// RunFolder: the folder of a run, whose files take their names together when all are complete.
#pragma once

#include <array>
#include <string>

#include "flashring/communicator.hpp"

namespace flashring {

/// One run at a time in a folder: a second one would take the first one's points for its own. Held by a descriptor, so
/// that it goes with the process.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(const FolderLock &) = delete;
  FolderLock &operator=(const FolderLock &) = delete;
  ~FolderLock();
  /// Throws Error where another run holds it; does nothing where the file system has no locks.
  void take(const std::string &path);

 private:
  int descriptor_ = -1;
};

/// What a run may write; report.json comes last.
inline constexpr std::array<const char *, 14> run_files{
    "results.h5", "embedding.npy", "spectrum.png", "map.png", "slope.png",  "neighbours.h5", "neighbours.png",
    "o.npy",      "dq.npy",        "dk.npy",       "dv.npy",  "dalpha.npy", "dx.npy",        "report.json"};

/// Made (and checked) before the computation. A file is written under the name unfinished(NAME); complete() gives all
/// of them their own. What is not completed is removed with the object (rank 0).
class RunFolder {
 public:
  /// Throws Error, on every rank, when the path cannot be made, lies below a regular file, cannot be written to, is not
  /// seen by every rank, or holds another run or sweep (report.json, results.h5 or sweep.json) and overwrite is false,
  /// or another run is using it at this moment. The communicator must outlive the object. Collective.
  RunFolder(const Communicator &communicator, std::string path, bool overwrite);
  RunFolder(const RunFolder &) = delete;  // two objects would remove the same files
  RunFolder &operator=(const RunFolder &) = delete;
  ~RunFolder();

  const std::string &path() const { return path_; }
  /// Where one of run_files is until all are complete.
  std::string unfinished(const std::string &name) const;

  /// Removes what a killed run left, which would be taken for this one's. From here on there are files of this object.
  void begin();
  /// Throws Error where less than so many bytes are free: "the points need 12 MB and ...". Not collective.
  void check_space(const char *what, double bytes) const;
  /// Writes report.json; then files that are complete replace what was there, the report last: it marks the run as
  /// complete. Files of an earlier run that this one has not are removed. Collective.
  void complete(const std::string &report);
  /// Removes the files of this object.
  void discard();

 private:
  const Communicator &communicator_;
  std::string path_;
  bool begun_ = false;
  FolderLock lock_;  // on rank 0
};

}  // namespace flashring
