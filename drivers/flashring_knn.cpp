// flashring-knn: the nearest neighbours of every point, exact.
//
// Equation: d_i1 <= ... <= d_ik are the k smallest of |x_i - x_j|, j != i; of equal ones the lowest j.
//
//   flashring-knn -points points.npy -k 7 -output neighbours
//   mpirun -n 2 flashring-knn -points points.npy -queries new.npy -k 10 -output found
//
// Expected time: N^2/2 pairs of points over the pairs per second of the machine; M N with M queries.
#include <array>
#include <cstdio>

#include "driver.hpp"
#include "flashring/check.hpp"
#include "flashring/neighbour_results.hpp"
#include "flashring/readers.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 10> own_options{{
    {"points", "", "FILE.npy|.h5[:/dataset]|.csv|.tsv|.txt",
     "points, shape (N, d), among which neighbours are looked for"},
    {"generate", "", "SET:n=N,...", "instead of -points: circle, torus, hypercube, swiss_roll, clusters, normal, ..."},
    {"features", "", "torsion:degrees|torsion:radians|periodic:L1,...,Ld|whiten|mahalanobis:FILE",
     "as in flashring-diffmap: features of the coordinates, of queries too, whose distances are taken"},
    {"feature_scales", "", "FILE|s1,s2,...", "factors of the features, d of them, of queries too"},
    {"queries", "", "FILE",
     "points whose neighbours are looked for, shape (M, d); without: those of the points themselves"},
    {"k", "7", "1 <= k <= 64", "neighbours of each point, below N; of each query at most N"},
    {"output", "output", "FOLDER", "neighbours.h5, neighbours.png, report.json"},
    {"overwrite", "false", "true|false", "replace another run in the output folder"},
    {"dry_run", "false", "true|false", "say what the run takes of memory and time, compute and write nothing"},
    {"version", "", "", "print version and build, and stop"},
}};

/// There is no kernel, and one pass.
constexpr std::array<std::string_view, 10> without_effect{"form", "pair",   "beta", "alpha",         "exchange",
                                                          "ramp", "memory", "seed", "normalization", "knn"};

constexpr DriverText text = {"flashring-knn",
                             "the nearest neighbours of every point, exact",
                             "mpirun -n 2 flashring-knn -points points.npy -k 7 -output neighbours",
                             own_options,
                             false,
                             without_effect};

struct Settings {
  OperatorOptions op;
  InputOptions input;
  std::string queries;
  int k = 7;
};

Settings get_settings(const Communicator &communicator, DriverOptions &options) {
  Settings settings;
  communicator.agree([&] {
    options.read(settings.input, settings.op);
    options.refuse_unused(true);
    for (const char *name : {"points", "generate", "features", "feature_scales"})
      settings.input.set(name, options.value(name));
    settings.queries = options.value("queries");
    const std::int64_t k = parse_integer("-k", options.value("k"));
    FLASHRING_CHECK(k >= 1 && k <= max_columns, "-k: ", k, " is outside [1, ", max_columns, "]");
    settings.k = static_cast<int>(k);
  });
  choose_device(communicator, settings.op);
  settings.op.exchange = "ring";
  return settings;
}

/// The queries in the units of the points.
PointBlock read_queries(const Communicator &communicator, const Settings &settings, const PointBlock &points) {
  PointBlock queries = read_points(settings.queries, communicator);
  const std::span<const double> scales = points.feature_scales();
  communicator.agree([&] {
    FLASHRING_CHECK(queries.features() == points.feature_map().given(), "-queries ", settings.queries, ": has ",
                    queries.features(), " features (d), and the points ", points.feature_map().given(),
                    "; give queries with the same features in the same order");
    queries.map_features(points.feature_map());
    if (!scales.empty()) queries.set_feature_scales({scales.begin(), scales.end()});
  });
  return queries;
}

Report report_of(const Communicator &communicator, const DriverOptions &options, const OperatorOptions &op,
                 const PassReport &work, double pairs) {
  Report report = start_report(communicator, options, op);
  const double seconds = std::max(1e-12, communicator.max(work.seconds));
  report.status = "complete";
  report.passes = 1;
  report.seconds_solve = seconds;
  report.pairs_per_second = pairs / seconds;
  report.evaluated_pairs_per_second = communicator.sum(work.pairs) / seconds;
  report.ring_wait_fraction = communicator.max(work.wait_seconds) / seconds;
  report.device_copy_bytes = communicator.sum(work.bytes_copied);
  return report;
}

void print_results(const Communicator &communicator, const Report &report, const NeighbourSearch &search, int k,
                   const NeighbourSummary &summary, const RunFolder &folder, const std::vector<std::string> &findings) {
  if (communicator.rank() != 0) return;
  std::printf("%lld neighbourhoods of %d among %lld points, %d features; %s on %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(summary.rows), k, static_cast<long long>(search.points.rows),
              search.points.features, report.precision.c_str(), report.backend.c_str(), report.target.c_str(),
              report.ranks, report.threads);
  std::printf("1 pass, %.2f Gpairs/s, ring wait %.1f %%\n", report.pairs_per_second * 1e-9,
              100 * report.ring_wait_fraction);
  std::printf("distance to neighbour %d: min %.6g, median %.6g, max %.6g; %lld duplicates\n", k, summary.least,
              summary.median, summary.largest, static_cast<long long>(summary.duplicates));
  for (const std::string &finding : findings) std::printf("note: %s\n", finding.c_str());
  print_written(folder.path());
}

int compute(const Communicator &communicator, const DriverOptions &options, const Settings &settings, double start) {
  RunFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  PointBlock points = read_input(settings.input, communicator).points;
  NeighbourSearch search{{points.partition().rows(), points.features()}, points.partition(), !settings.queries.empty()};
  PointBlock queries;
  if (search.queries) {
    queries = read_queries(communicator, settings, points);
    search.rows = queries.partition();
  }
  const double read_done = seconds_now();
  const Neighbours found =
      search.queries ? nearest_points(communicator, settings.op, std::move(queries), std::move(points), settings.k)
                     : nearest_neighbours(communicator, settings.op, std::move(points), settings.k);
  const NeighbourSummary summary = summarise(communicator, found);

  const double pairs = static_cast<double>(search.rows.rows()) * static_cast<double>(search.points.rows);
  Report report = report_of(communicator, options, settings.op, found.report, pairs);
  report.seconds_read = read_done - start;
  report.seconds_total = seconds_now() - start;
  report.seconds_setup = report.seconds_total - report.seconds_read - report.seconds_solve;
  const std::vector<std::string> findings = write_neighbours(communicator, folder, search, found, summary, report);
  print_results(communicator, report, search, settings.k, summary, folder, findings);
  return exit_converged;
}

int run(const Communicator &communicator, DriverOptions &options) {
  const double start = seconds_now();
  Settings settings = get_settings(communicator, options);
  const PointShape shape = input_shape(settings.input, communicator);
  const std::int64_t queries = settings.queries.empty() ? 0 : points_shape(settings.queries, communicator).rows;
  RunPlan plan = plan_neighbours(communicator, settings.op, shape, queries, settings.k);
  plan_features(settings.input, plan);
  if (options.flag("dry_run")) {
    const double seconds = measure_neighbours(communicator, settings.op, shape, queries, settings.k);
    if (communicator.rank() == 0) std::printf("%sone pass: %.3g s\n", memory_text(plan).c_str(), seconds);
    return exit_converged;
  }
  communicator.agree([&] { plan.check_room(); });
  settings.op.points_memory = plan.points_memory.value;
  settings.op.threads = plan.threads;
  return compute(communicator, options, settings, start);
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
