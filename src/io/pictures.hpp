// Pictures of a run, drawn by gnuplot (pngcairo) on rank 0.
#pragma once

#include <string>
#include <vector>

#include "flashring/committor_results.hpp"
#include "flashring/communicator.hpp"
#include "flashring/metric_results.hpp"
#include "flashring/neighbours.hpp"
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

/// The slope curve of report.bandwidth, exact and sampled, with its maximum. Nothing is drawn, and that is no reason,
/// where there is none. Returns as draw_spectrum.
std::string draw_slope(const Communicator &communicator, const std::string &file, const Report &report,
                       PointShape shape);

/// How far neighbours are.
struct NeighbourPicture {
  const Report &report;
  const std::vector<double> &distances;  ///< of this rank's rows, to the k-th neighbour
  const NeighbourSummary &summary;
  PointShape points;
  int k = 1;
};

/// Their histogram, with the median. Returns as draw_spectrum.
std::string draw_neighbours(const Communicator &communicator, const std::string &file, const NeighbourPicture &picture);
/// The points by their first features, one to three, coloured by the committor, which is the fourth number of `points`.
/// Returns as draw_spectrum.
std::string draw_committor(const Communicator &communicator, const std::string &file, const CommittorResults &results,
                           const Report &report, const RowSampler &points, int coordinates);

/// The map with what its metric does to directions.
struct MetricPicture {
  const Results &map;
  const Metric &metric;
  const Report &report;
  const RowPartition &partition;
  const std::vector<std::string> &labels;
};

/// The first two coordinates, coloured by the local dimension or by labels; at some points an ellipse, the image of a
/// circle of one size about the point in the space of points. Two coordinates at least. Returns as draw_spectrum.
std::string draw_metric(const Communicator &communicator, const std::string &file, const MetricPicture &picture);

}  // namespace flashring
