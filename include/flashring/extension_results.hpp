// Results of an extension: rows of new points, block by block, and the files they become.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"
#include "flashring/results.hpp"
#include "flashring/run_folder.hpp"
#include "flashring/types.hpp"

namespace flashring {

/// What is known of new points x*, (rows of this rank) each.
struct ExtendedRows {
  std::vector<double> right;        // (rows, K) psi_k(x*) column-major; psi_0 = 1
  std::vector<double> log_density;  // ln D(x*), D(x*) = sum_j k(x*, x_j) m_j over the points of the map
  std::vector<double> far;          // 1: no point of the map counts for x* (Extension); otherwise 0
};

/// The folder of an extension: rows are written as they come, and nothing of the size of all new points is kept but
/// labels. All collective but the destructor; an Error is common to all ranks.
class ExtensionFolder {
 public:
  /// `model`: the file that is extended. Errors as RunFolder, and where the model lies in the folder: the run would
  /// replace it. The communicator must outlive the object.
  ExtensionFolder(const Communicator &communicator, const std::string &path, bool overwrite, const std::string &model);
  ~ExtensionFolder();

  /// Begins results.h5, under a temporary name, with room for all rows, so that a full disk is noticed first.
  /// `partition`: of the new points, any. `map`: with the vectors at its own points, of which the picture shows some;
  /// nothing else of them is kept.
  void begin(const RowPartition &partition, const Results &map, const RowPartition &map_rows);
  /// Rows [first, first + rows) of the file of new points, on this rank; there may be none.
  void write(GlobalRow first, const ExtendedRows &rows);
  /// After all rows, or the blocks that were done when the run was stopped: the rows of the others become NaN. The rest
  /// of results.h5, map.png and report.json, specified in docs/files.md; then all take their names. `labels`: on rank 0
  /// one per new point, or none. `report`: seconds_total up to here; writing is measured by the folder. Returns
  /// findings in words, which are in the report, too.
  std::vector<std::string> complete(Report report, const std::vector<std::string> &labels);

  const std::string &path() const { return folder_.path(); }

 private:
  struct Progress;
  std::int64_t end_rows();  // how many all ranks have written; the others become NaN
  const Communicator &communicator_;
  RunFolder folder_;
  std::unique_ptr<Progress> progress_;  // from begin to complete
};

}  // namespace flashring
