// flashring-extend: a diffusion map at new points.
//
// Equation: psi_k(x*) = 1/lambda_k sum_j p(x*, x_j) psi_k(j), p(x*, x_j) = k(x*, x_j) w_j / sum_l k(x*, x_l) w_l.
//
//   flashring-diffmap -points old.npy -beta 0.5 -output map
//   mpirun -n 2 flashring-extend -model map/results.h5 -points new.npy -output new
//
// Expected time: M N pairs of points over the pairs per second of the machine, for M new points and up to 64 pairs.
#include <array>
#include <cstdio>
#include <filesystem>

#include "driver.hpp"
#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/extend.hpp"
#include "flashring/model.hpp"
#include "flashring/neighbours.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/point_stream.hpp"
#include "flashring/readers.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 10> own_options{{
    {"model", "", "FILE.h5", "results.h5 of flashring-diffmap: the map that is extended"},
    {"points", "", "FILE.npy|.h5[:/dataset]|.csv|.tsv|.txt",
     "new points, shape (M, d), in the units of the map's points as they were given"},
    {"point_scales", "", "FILE",
     "one positive length per new point, as the map's were made: for maps by self_tuned and variable_bandwidth"},
    {"point_covariances", "", "FILE",
     "a covariance per new point, d^2 numbers or its lower triangle: for maps by local_mahalanobis"},
    {"labels", "", "FILE", "one label per new point, or numbers in a .npy or .h5 file: colours of map.png"},
    {"nev", "", "2 <= nev <= pairs of the model", "pairs that are extended, the constant one counted; without: all"},
    {"output", "output", "FOLDER", "results.h5, report.json, map.png"},
    {"overwrite", "false", "true|false", "replace another run in the output folder"},
    {"dry_run", "false", "true|false", "say what the run takes of memory and time, compute and write nothing"},
    {"version", "", "", "print version and build, and stop"},
}};

/// The model tells the matrix; sums of visiting rows do not occur, and nothing is drawn or solved.
constexpr std::array<std::string_view, 11> without_effect{
    "form", "pair", "beta", "alpha", "normalization", "route", "exchange", "ramp", "memory", "seed", "knn"};

constexpr DriverText text = {"flashring-extend",
                             "a diffusion map at new points",
                             "mpirun -n 2 flashring-extend -model map/results.h5 -points new.npy -output new",
                             own_options,
                             false,
                             without_effect};

struct Settings {
  OperatorOptions op;
  ModelSummary model;
  int pairs = 0;
  std::string scales_file;  ///< of new points; empty: none are read, or they come from neighbours
};

int get_pairs(const DriverOptions &options, int most) {
  FLASHRING_CHECK(most >= 2, "-model ", options.value("model"), ": has ", most,
                  " eigenpairs, and a coordinate needs two; run flashring-diffmap until more have converged");
  return get_model_pairs(options, most);
}

Settings get_settings(const Communicator &communicator, DriverOptions &options) {
  Settings settings;
  InputOptions unused;
  communicator.agree([&] {
    options.read(unused, settings.op);
    options.refuse_unused(true);
    for (const char *name : {"model", "points"})
      FLASHRING_CHECK(!options.value(name).empty(), "-", name,
                      " is missing; flashring-extend -model FILE.h5 -points FILE");
  });
  choose_device(communicator, settings.op);
  settings.model = read_model_summary(options.value("model"), communicator);
  communicator.agree([&] { settings.pairs = get_pairs(options, settings.model.pairs); });
  settings.op.pair = settings.model.pair;
  settings.op.median = false;
  if (settings.model.knn > 0) settings.op.knn = settings.model.knn;
  settings.op.exchange = "ring";
  settings.op.ramp = "none";
  return settings;
}

/// The file of new points, checked against the model.
PointStream open_new_points(const Communicator &communicator, const DriverOptions &options, const ModelSummary &model) {
  PointStream stream("-points", options.value("points"), communicator);
  communicator.agree([&] {
    FLASHRING_CHECK(stream.shape().features == model.features.given(), "-points ", options.value("points"), ": has ",
                    stream.shape().features, " features (d), and the points of the model ", options.value("model"), " ",
                    model.features.given(), "; give new points with the same features in the same order");
  });
  return stream;
}

/// The options for what pair functions read of every point.
struct ScalesOption {
  const char *name;
  PointScale scale;
  const char *what;
};
constexpr std::array<ScalesOption, 2> scales_options{
    {{"point_scales", PointScale::length, "length"}, {"point_covariances", PointScale::covariance, "covariance"}}};

/// The file of what the model's pair function reads of new points; empty: none, or it comes from neighbours among the
/// map's points.
std::string scales_file(const DriverOptions &options, const ModelSummary &model) {
  std::string found;
  for (const auto &[name, scale, what] : scales_options) {
    const std::string &file = options.value(name);
    const bool read = point_scale(model.pair.kind) == scale;
    FLASHRING_CHECK(!read || model.knn > 0 || !file.empty(), "-", name, " is missing: the model ",
                    options.value("model"), " is of -pair ", to_string(model.pair), ", which reads a ", what,
                    " of every new point, too; give them by -", name, " FILE, made as those of the model were");
    FLASHRING_CHECK(read || file.empty(), "-", name, " ", file, ": the model ", options.value("model"), " is of -pair ",
                    to_string(model.pair), ", which reads no ", what, "s; leave -", name, " out");
    if (read) found = file;
  }
  return found;
}

/// What that file says of this rank's new points.
std::vector<double> read_scales(const Communicator &communicator, const std::string &file, const ModelSummary &model,
                                const PointStream &stream) {
  if (file.empty()) return {};
  return point_scale(model.pair.kind) == PointScale::covariance
             ? read_point_covariances(file, model.shape.features, stream.partition(), communicator)
             : read_point_scales(file, stream.partition(), communicator);
}

/// Every block of new points through the extension into the files. Returns how many points these are: fewer where a
/// signal came between two blocks. Throws Interrupted where it came before the first.
std::int64_t extend_all(const Communicator &communicator, Extension &extension, PointStream &stream,
                        const Settings &settings, std::span<const double> scales, const PointBlock &neighbours,
                        ExtensionFolder &folder) {
  StatusLine line(communicator);
  const PointScale kind = point_scale(settings.op.pair.kind);
  const std::int64_t mine = stream.partition().local_rows(communicator.rank());
  while (!stream.ended()) {
    const std::int64_t before = stream.given();
    PointStream::Block block = stream.next(extension_rows(settings.model.shape.features, settings.pairs));
    communicator.agree([&] {
      block.points.map_features(settings.model.features);
      if (!settings.model.feature_scales.empty()) block.points.set_feature_scales(settings.model.feature_scales);
      const std::int64_t rows = block.points.local_rows();
      if (scales.empty() || rows == 0) return;
      const std::int64_t numbers = scale_numbers(kind, block.points.features());
      const double *first = scales.data() + before * numbers;
      block.points.set_point_scales({first, first + rows * numbers}, kind);
    });
    if (neighbours.features() > 0) {
      std::vector<double> tuned = tuned_scales(communicator, settings.op, block.points, neighbours);
      communicator.agree([&] { block.points.set_point_scales(std::move(tuned), kind); });
    }
    ExtendedRows rows;
    try {
      rows = extension.apply(block.points, block.first);
    } catch (const Interrupted &) {
      if (before == 0) throw;
      return communicator.sum(std::min(before, mine));
    }
    folder.write(block.first, rows);
    const double done = static_cast<double>(stream.given()) / static_cast<double>(std::max<std::int64_t>(1, mine));
    std::array<char, 100> words{};
    std::snprintf(words.data(), words.size(), "%.1f %% of the new points, %.0f s; left: about %.0f s",
                  100 * std::min(1.0, done), line.elapsed(), std::max(0.0, line.elapsed() * (1 / done - 1)));
    line.show(words.data());
  }
  return stream.shape().rows;
}

Report report_of(const Communicator &communicator, const DriverOptions &options, const KernelOperator &op,
                 const Extension &extension, double count, bool tuned) {
  Report report = make_report(communicator, options, op);
  const PassReport &work = op.counters().queries;
  const double seconds = std::max(1e-12, communicator.max(work.seconds));
  report.neighbour_passes = tuned ? 1 : 0;
  report.passes = extension.passes() + report.neighbour_passes;
  report.pairs_per_second = count * static_cast<double>(op.rows()) * extension.passes() / seconds;
  report.ring_wait_fraction = communicator.max(work.wait_seconds) / seconds;
  report.device_copy_bytes = communicator.sum(work.bytes_copied);
  return report;
}

void print_results(const Communicator &communicator, const Report &report, const ModelSummary &model, PointShape shape,
                   const ExtensionFolder &folder, const std::vector<std::string> &findings) {
  if (communicator.rank() != 0) return;
  std::printf("%lld new points, %lld of the map, %d features; %s; %s on %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(shape.rows), static_cast<long long>(model.shape.rows), shape.features,
              report.pair.c_str(), report.precision.c_str(), report.backend.c_str(), report.target.c_str(),
              report.ranks, report.threads);
  std::printf("%lld pass%s, %.2f Gpairs/s, ring wait %.1f %%\n", static_cast<long long>(report.passes),
              report.passes == 1 ? "" : "es", report.pairs_per_second * 1e-9, 100 * report.ring_wait_fraction);
  for (const std::string &finding : findings) std::printf("note: %s\n", finding.c_str());
  print_written(folder.path());
}

/// The run itself, from points to files.
int compute(const Communicator &communicator, const DriverOptions &options, const Settings &settings,
            PointStream &stream, std::span<const double> scales, double start) {
  const StopSignals signals;
  ExtensionFolder folder(communicator, options.value("output"), options.flag("overwrite"), options.value("model"));
  std::vector<std::string> labels;  // (M), or empty
  if (!options.value("labels").empty())
    labels = read_labels(options.value("labels"), stream.shape().rows, communicator);
  Model model = read_model(options.value("model"), settings.pairs, communicator);
  const double read_done = seconds_now();
  folder.begin(stream.partition(), model.results, model.points.partition());
  const double begun = seconds_now();

  // New points have their neighbours among the points as they are; the operator packs its own.
  const bool tuned = settings.model.knn > 0 && settings.scales_file.empty();
  const PointBlock neighbours = tuned ? model.points : PointBlock();
  const std::shared_ptr<KernelOperator> op =
      make_operator(mpi_comm(communicator), settings.op, std::move(model.points));
  op->set_stop(StopSignals::asked);
  Extension extension(*op, std::move(model.results));
  const double setup_done = seconds_now();
  const std::int64_t extended = extend_all(communicator, extension, stream, settings, scales, neighbours, folder);

  const bool complete = extended == stream.shape().rows;
  Report report = report_of(communicator, options, *op, extension, static_cast<double>(extended), tuned);
  report.status = complete ? "complete" : "interrupted by the user";
  report.seconds_read = read_done - start;
  report.seconds_setup = setup_done - begun;
  report.seconds_solve = op->counters().queries.seconds;
  report.seconds_total = seconds_now() - start;
  const std::vector<std::string> findings = folder.complete(report, labels);
  print_results(communicator, report, settings.model, stream.shape(), folder, findings);
  return complete ? exit_converged : exit_interrupted;
}

int run(const Communicator &communicator, DriverOptions &options) {
  const double start = seconds_now();
  Settings settings = get_settings(communicator, options);
  PointStream stream = open_new_points(communicator, options, settings.model);
  communicator.agree([&] { settings.scales_file = scales_file(options, settings.model); });
  const std::vector<double> scales = read_scales(communicator, settings.scales_file, settings.model, stream);
  const RunPlan plan = plan_extension(communicator, settings.op, settings.model, settings.pairs, stream.shape().rows);
  if (options.flag("dry_run")) {
    const double seconds = measure_queries(communicator, settings.op, settings.model.shape, stream.shape().rows,
                                           std::min(settings.pairs, max_columns));
    if (communicator.rank() == 0)
      std::printf("%sextension of %lld new points: %.3g s\n", memory_text(plan).c_str(),
                  static_cast<long long>(stream.shape().rows), seconds);
    return exit_converged;
  }
  communicator.agree([&] { plan.check_room(); });
  settings.op.points_memory = plan.points_memory.value;
  return compute(communicator, options, settings, stream, scales, start);
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
