// The folder of a metric: arrays over the points, made by rank 0 and filled by all, a picture, a report.
#include <fmt/format.h>

#include <chrono>

#include "flashring/check.hpp"
#include "flashring/metric_results.hpp"
#include "io/folder.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<RowArray> arrays_of(const Metric &metric) {
  const int c = metric.coordinates;
  const auto rows = static_cast<std::int64_t>(metric.dimension.size());
  const auto matrix = [&](const std::vector<double> &values, int columns) {
    return RowMatrix{values, rows, columns, true, {}, {}};
  };
  return {{"/gamma", "1", "carre du champ of psi_k and psi_l, k, l = 1 ... K-1", matrix(metric.gamma, c * c), 3},
          {"/eigenvalues", "1/length^2", "of the dual metric h_kl = scale_k gamma_kl scale_l, largest first",
           matrix(metric.eigenvalues, c)},
          {"/metric", "length^2", "pseudo-inverse of the dual metric from its largest eigenvalues",
           matrix(metric.inverse, c * c), 3},
          {"/dimension", "1", "participation ratio of the eigenvalues, (sum e)^2 / sum e^2",
           matrix(metric.dimension, 1), 1}};
}

/// The file without its rows; where its arrays begin.
std::vector<std::int64_t> make_file(const std::string &name, const Results &map, const Metric &metric,
                                    const Report &report, const std::vector<RowArray> &arrays) {
  Hdf5File file(name, Hdf5File::Start::make, bytes_of(arrays, map.rows) + 8 * std::ssize(metric.scale));
  write_provenance(file, metric_kind, map, report);
  file.set_attribute("/", "rank", std::int64_t{metric.rank});
  file.write_vector("/scale", metric.scale);
  describe(file, "/scale", "1/length", "(4 beta)^(1/2) lambda_k^t, k = 1 ... K-1");
  std::vector<std::int64_t> offsets = reserve_arrays(file, arrays, map.rows);
  file.close();
  return offsets;
}

/// Mean over all points.
double mean_dimension(const Communicator &communicator, const Results &map, const Metric &metric) {
  double sum = 0;
  for (const double dimension : metric.dimension) sum += dimension;
  return communicator.sum(sum) / static_cast<double>(map.rows);
}

}  // namespace

MetricFolder::MetricFolder(const Communicator &communicator, const std::string &path, bool overwrite,
                           const std::string &model)
    : communicator_(communicator), folder_(communicator, path, overwrite) {
  communicator_.agree([&] { check_model_stays(path, model); });
}

std::vector<std::string> MetricFolder::write(const Results &map, const Metric &metric, const RowPartition &partition,
                                             Report report, const std::vector<std::string> &labels) {
  const auto start = Clock::now();
  std::vector<std::string> findings;
  if (metric.lacking > 0)
    findings.push_back(
        fmt::format("metric: {:.0f} of {} points have fewer than {} directions above rounding; their "
                    "/metric is of lower rank",
                    metric.lacking, map.rows, metric.rank));
  const std::vector<RowArray> arrays = arrays_of(metric);
  folder_.begin();
  communicator_.agree([&] {
    if (communicator_.rank() == 0)
      folder_.check_space("the metric needs", static_cast<double>(bytes_of(arrays, map.rows)) + 4e6);
  });
  const std::string file = folder_.unfinished("results.h5");
  write_arrays(communicator_, file, arrays, partition, [&] { return make_file(file, map, metric, report, arrays); });
  const std::string picture =
      draw_metric(communicator_, folder_.unfinished("map.png"), {map, metric, report, partition, labels});
  if (!picture.empty()) findings.push_back("pictures: " + picture);
  const double dimension = mean_dimension(communicator_, map, metric);
  report.seconds_write = std::chrono::duration<double>(Clock::now() - start).count();
  report.seconds_total += report.seconds_write;
  folder_.complete(metric_json(map, metric, dimension, report, findings));
  return findings;
}

}  // namespace flashring
