// Pictures of a run, drawn by gnuplot (pngcairo) on rank 0.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/results.hpp"
#include "flashring/sweep_folder.hpp"
#include "io/point_sample.hpp"

namespace flashring {

/// The eigenvalues against their index, residuals below. Needs one eigenpair. Returns an empty text, or the reason in
/// words why there is no picture; then `file` does not exist. Collective, the same on every rank.
std::string draw_spectrum(const Communicator &communicator, const std::string &file, const Results &results,
                          const Report &report);

/// The first embedding coordinates against each other, at most 20,000 points. `scale`: (K-1), lambda_k^t. `labels`: one
/// per row over all ranks, or empty. Returns as draw_spectrum.
std::string draw_map(const Communicator &communicator, const std::string &file, const Results &results,
                     const Report &report, const std::vector<double> &scale, const RowPartition &partition,
                     const std::vector<std::string> &labels);

/// The eigenvalues of every map against the values of the longer list, a panel for each value of the other one. Returns
/// as draw_spectrum.
std::string draw_sweep(const Communicator &communicator, const std::string &file, const SweepTable &table);
/// New points over some of those of the map that was extended to them.
struct ExtensionPicture {
  const Results &map;  ///< of which no rows are read
  const Report &report;
  const RowSampler &map_rows, &rows;  ///< the fourth number of a new point is ln of its density
  const std::vector<std::string> &labels;
  std::int64_t count = 0;  ///< new points
  int coordinates = 0;     ///< K - 1
};

/// As draw_map; two coordinates at least.
std::string draw_extension(const Communicator &communicator, const std::string &file, const ExtensionPicture &picture);

}  // namespace flashring
