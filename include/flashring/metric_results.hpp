// Results of a metric: arrays, and the files they become.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"
#include "flashring/results.hpp"
#include "flashring/run_folder.hpp"

namespace flashring {

/// Of the c = K - 1 coordinates y_k = lambda_k^t psi_k, k = 1 ... c, at every point; matrices are (local_rows, c, c)
/// row-major and symmetric. Row and column of psi_0, which is constant, would be zero and are left out. Source:
/// docs/mathematics.md, "Carre du champ".
struct Metric {
  int coordinates = 0;              ///< c
  int rank = 0;                     ///< m of `inverse`
  std::int64_t passes = 0;          ///< over all pairs of points
  std::vector<double> gamma;        // (local_rows, c, c) Gamma(psi_k, psi_l)
  std::vector<double> scale;        // (c) s_k = (4 beta)^(1/2) lambda_k^t, unit 1/length
  std::vector<double> eigenvalues;  // (local_rows, c) of h_kl = s_k Gamma_kl s_l, descending, unit 1/length^2
  std::vector<double> inverse;      // (local_rows, c, c) pseudo-inverse of h from its m largest eigenvalues, length^2
  std::vector<double> dimension;    // (local_rows) (sum_a e_a)^2 / sum_a e_a^2 of the eigenvalues e: 0, or in [1, c]
  double lacking = 0;               ///< points of all ranks where fewer than m eigenvalues are above rounding
};

/// The folder of a metric: results.h5, map.png and report.json, specified in docs/files.md. All collective but the
/// destructor; an Error is common to all ranks.
class MetricFolder {
 public:
  /// Errors as ExtensionFolder. The communicator must outlive the object.
  MetricFolder(const Communicator &communicator, const std::string &path, bool overwrite, const std::string &model);

  /// Writes everything; all files take their names together. `map`: with the right vectors at the rows of `partition`.
  /// `labels`: on rank 0 one per row over all ranks, or none. `report`: seconds_total up to here. Returns findings in
  /// words, which are in the report, too.
  std::vector<std::string> write(const Results &map, const Metric &metric, const RowPartition &partition, Report report,
                                 const std::vector<std::string> &labels);

  const std::string &path() const { return folder_.path(); }

 private:
  const Communicator &communicator_;
  RunFolder folder_;
};

}  // namespace flashring
