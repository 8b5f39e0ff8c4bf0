// Results of a committor: numbers per point, and the files they become.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"
#include "flashring/run_folder.hpp"

namespace flashring {

/// What docs/mathematics.md, "Committor", defines for sets A and B; vectors hold the rows of this rank.
struct CommittorResults {
  std::int64_t rows = 0;                  ///< N
  int features = 0;                       ///< d
  std::string normalization = "density";  ///< or "bistochastic", "target": alpha has no effect
  double alpha = 0.5;                     ///< density exponent
  std::vector<double> set;                // (local_rows) 1 in A, 2 in B, else 0
  std::vector<double> committor;          // (local_rows) q: 0 on A, 1 on B
  std::vector<double> first_passage;      // (local_rows) mean steps until B, 0 on B; or empty: not asked for
  std::vector<double> current;            // (local_rows) pi (sum_j P_ij (q_j - q_i)^2)^(1/2)
  std::vector<double> pi;                 // (local_rows) stationary law, sums to 1 over all ranks
  double rate = 0;                        ///< passages from A to B per step, at equilibrium
  double committor_residual = 0;          ///< |b - (I - M) y| / |b| in fp64
  double first_passage_residual = 0;      ///< the same
  int iterations = 0;                     ///< steps of conjugate gradients
  std::string preconditioner;             ///< diagonal or nystrom
  std::vector<std::string> findings;      ///< in words
};

/// The folder of a committor: results.h5, map.png, report.json, specified in docs/files.md. All collective but the
/// destructor. Errors of the constructor are those of RunFolder.
class CommittorFolder {
 public:
  CommittorFolder(const Communicator &communicator, const std::string &path, bool overwrite)
      : communicator_(communicator), folder_(communicator, path, overwrite) {}

  /// The coordinates that map.png shows: the first features of the points, as given to the operator, three at most.
  /// Call it before the operator takes the points.
  void show(const PointBlock &points);
  /// After show, once; replaces what was there when all files are complete. Returns findings in words, those of
  /// `results` among them. The same on every rank.
  std::vector<std::string> write(const CommittorResults &results, Report report);

  const std::string &path() const { return folder_.path(); }

 private:
  const Communicator &communicator_;
  RunFolder folder_;
  RowPartition partition_;
  int shown_features_ = 0;
  std::vector<double> shown_;  // (local_rows, shown_features_)
};

}  // namespace flashring
