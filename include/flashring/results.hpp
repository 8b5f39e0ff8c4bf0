// Results of a diffusion map: arrays and provenance, and the files they become.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/points.hpp"
#include "flashring/run_folder.hpp"
#include "flashring/slope.hpp"

namespace flashring {

/// Arrays of a run; vectors over rows hold this rank's rows, matrices are (local_rows, K) column-major.
struct Results {
  std::int64_t rows = 0;                   ///< N
  int features = 0;                        ///< d
  int pairs = 0;                           ///< K, eigenpairs that converged, psi_0 counted
  double time = 1;                         ///< t of the embedding
  double alpha = 0.5;                      ///< density exponent
  std::string normalization = "density";   ///< or "bistochastic", "target": alpha has no effect
  std::vector<double> eigenvalues;         // (K)
  std::vector<double> residuals;           // (K)
  std::vector<double> residual_over_gap;   // (K)
  std::vector<double> right;               // (local_rows, K); left vectors are pi psi_k
  std::vector<double> pi, degree, weight;  // (local_rows)
  std::vector<double> mean;                // (features), or empty
  std::vector<double> measure;             // (local_rows) weights of the points, or empty: ones
  std::vector<double> doob_h;              // (local_rows) of a Doob transform, 0 where killed; or empty: none
  double perron_value = std::numeric_limits<double>::quiet_NaN();  ///< lambda_0 on the set outside which is killed
  double log_shift = 0;
  int knn = 0;  ///< neighbour whose distance is a point's length; 0: lengths were given, or none are read
  std::vector<std::string> diagnoses;  ///< findings in words
};

/// "α = 0.5", "bistochastic" or "target".
std::string normalization_text(const std::string &normalization, double alpha);

/// What the report says besides the results.
struct Report {
  std::string version, git, status;
  std::vector<std::pair<std::string, std::string>> options;  ///< name, value as the user would type it
  int ranks = 1, threads = 1;
  std::string backend, target, precision, exchange, pair;
  Bandwidth bandwidth;  ///< how the pair function came to its length scale
  std::int64_t calls = 0, passes = 0, column_passes = 0;
  std::vector<std::pair<std::string, std::int64_t>> passes_in;  ///< precision, passes; those with none are left out
  std::int64_t neighbour_passes = 0;      ///< of passes: searches that lengths or covariances of points come from
  std::int64_t all_passes = 0;            ///< with those of the runs before a restart, up to the checkpoint
  double all_seconds = 0;                 ///< that these took, on the slowest rank
  std::string start;                      ///< what the solver started from, in words
  double landmark_pairs = 0;              ///< pairs with landmarks, which are in no pass
  double pairs_per_second = 0;            ///< effective: N^2 per pass
  double evaluated_pairs_per_second = 0;  ///< pairs really computed
  double ring_wait_fraction = 0;
  double device_copy_bytes = 0;  ///< of vectors, between host and GPU, of all ranks
  /// seconds_total without the writing: OutputFolder measures that of points and results, fills seconds_write, adds it.
  double seconds_read = 0, seconds_setup = 0, seconds_solve = 0, seconds_write = 0, seconds_total = 0;
  std::vector<double> peak_bytes_per_rank;  // (ranks)
};

/// What is remembered of points that are on the disk.
struct WrittenPoints {
  RowPartition partition;
  int features = 0;
  std::string unit;  ///< of coordinates, in words
};

/// The folder of a diffusion map: given the points before the computation and the results afterwards. All collective
/// but the destructor. Errors of the constructor are those of RunFolder.
class OutputFolder {
 public:
  OutputFolder(const Communicator &communicator, std::string path, bool overwrite)
      : communicator_(communicator), folder_(communicator, std::move(path), overwrite) {}

  /// Begins results.h5, under a temporary name, with the points, their feature scales and lengths. Written before the
  /// computation, so that a full disk is noticed first and the memory of the points can be given up: nothing of them is
  /// kept here. Replaces what a killed run left unfinished. After an Error the folder holds what it held before.
  void write_points(const PointBlock &points);

  /// After write_points, once: the rest of results.h5, embedding.npy, spectrum.png, map.png and report.json, specified
  /// in docs/files.md. Each is written under a temporary name; when all are complete they replace what was there,
  /// report.json last: it marks the run as complete. After an Error the folder holds what it held before, and the
  /// points must be written again. `labels`: on rank 0 one per row over all ranks, or none. Returns findings in words,
  /// which are in the report's diagnoses too: a picture that could not be drawn (gnuplot missing) is one of them, not
  /// an Error. The same on every rank.
  std::vector<std::string> write(const Results &results, Report report, const std::vector<std::string> &labels);

  const std::string &path() const { return folder_.path(); }

 private:
  void discard();

  const Communicator &communicator_;
  RunFolder folder_;
  std::optional<WrittenPoints> points_;  // while there are unfinished files of this object
  double points_seconds_ = 0;
};

}  // namespace flashring
