// The folder of a sweep: a record of all its maps and its picture, beside the folders of the maps.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"
#include "flashring/run_folder.hpp"
#include "flashring/sweep.hpp"

namespace flashring {

/// What is recorded of one map.
struct SweepOutcome {
  SweepPoint point;
  Report report;                               ///< an empty status: not run yet
  std::vector<double> eigenvalues, residuals;  // (K), pairs that converged
};

struct SweepTable {
  Report report;  ///< of the whole: version, git, status, options, ranks, seconds_total
  PointShape shape;
  std::vector<SweepOutcome> outcomes;  // in the order in which they are solved
};

/// All collective but path_of. The communicator must outlive the object.
class SweepFolder {
 public:
  /// Throws Error as OutputFolder does, for the folder itself and, unless `overwrite`, for those of the maps that are
  /// there already.
  SweepFolder(const Communicator &communicator, std::string path, const std::vector<SweepPoint> &points,
              bool overwrite);

  /// Of the folder of a map.
  std::string path_of(const SweepPoint &point) const { return path_ + "/" + point.folder; }
  const std::string &path() const { return path_; }

  /// sweep.json, specified in docs/files.md, takes the place of the one before at once, so that a reader and a sweep
  /// that is killed have a whole one; then sweep.png, as soon as there are eigenvalues. Throws Error. Returns an empty
  /// text, or the reason why there is no picture.
  std::string write(const SweepTable &table);

 private:
  const Communicator &communicator_;
  std::string path_;
  FolderLock lock_;  // on rank 0
};

}  // namespace flashring
