// flashring-metric: how the coordinates of a diffusion map stretch the set of its points.
//
// Equation: Gamma(psi_k, psi_l)_i = 1/2 sum_j P_ij (psi_k(j) - psi_k(i)) (psi_l(j) - psi_l(i));
// h_kl = 4 beta lambda_k^t Gamma(psi_k, psi_l) lambda_l^t is the dual metric of the coordinates lambda_k^t psi_k.
//
//   flashring-diffmap -points points.npy -beta 0.5 -alpha 1 -output map
//   mpirun -n 2 flashring-metric -model map/results.h5 -rank 2 -output metric
//
// Expected time: one pass over all pairs of points for up to 64 coordinates; no eigenvalue is solved for.
#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>

#include "driver.hpp"
#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/metric.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/readers.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 8> own_options{{
    {"model", "", "FILE.h5", "results.h5 of flashring-diffmap: the map, of a gaussian"},
    {"nev", "", "2 <= nev <= pairs of the model",
     "pairs whose coordinates are used, the constant one counted; without: all"},
    {"rank", "2", "1 <= rank < nev", "dimension of the set: largest eigenvalues that the metric is made of"},
    {"labels", "", "FILE", "one label per point, or numbers in a .npy or .h5 file: colours of map.png"},
    {"output", "output", "FOLDER", "results.h5, report.json, map.png"},
    {"overwrite", "false", "true|false", "replace another run in the output folder"},
    {"dry_run", "false", "true|false", "say what the run takes of memory and time, compute and write nothing"},
    {"version", "", "", "print version and build, and stop"},
}};

/// The model tells the matrix; nothing is solved or drawn at random.
constexpr std::array<std::string_view, 9> without_effect{"form",   "pair", "beta",          "alpha", "ramp",
                                                         "memory", "seed", "normalization", "knn"};

constexpr DriverText text = {"flashring-metric",
                             "the metric of a diffusion map",
                             "mpirun -n 2 flashring-metric -model map/results.h5 -rank 2 -output metric",
                             own_options,
                             false,
                             without_effect};

struct Settings {
  OperatorOptions op;
  ModelSummary model;
  int pairs = 0, rank = 0;
};

Settings get_settings(const Communicator &communicator, DriverOptions &options) {
  Settings settings;
  InputOptions unused;
  communicator.agree([&] {
    options.read(unused, settings.op);
    options.refuse_unused(true);
    FLASHRING_CHECK(!options.value("model").empty(), "-model is missing; flashring-metric -model FILE.h5");
  });
  choose_device(communicator, settings.op);
  settings.model = read_model_summary(options.value("model"), communicator);
  communicator.agree([&] {
    settings.pairs = get_model_pairs(options, settings.model.pairs);
    const std::int64_t rank = parse_integer("-rank", options.value("rank"));
    settings.rank = static_cast<int>(std::clamp<std::int64_t>(rank, INT_MIN, INT_MAX));
    check_metric(settings.model.pair, settings.pairs, settings.rank);
  });
  settings.op.pair = settings.model.pair;
  settings.op.median = false;
  settings.op.ramp = "none";
  return settings;
}

void print_results(const Communicator &communicator, const Report &report, const Results &map, const Metric &metric,
                   const MetricFolder &folder, const std::vector<std::string> &findings) {
  if (communicator.rank() != 0) return;
  std::printf("%lld points, %d coordinates, rank %d; %s; %s on %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(map.rows), metric.coordinates, metric.rank, report.pair.c_str(),
              report.precision.c_str(), report.backend.c_str(), report.target.c_str(), report.ranks, report.threads);
  std::printf("%lld pass%s, %.2f Gpairs/s, ring wait %.1f %%\n", static_cast<long long>(report.passes),
              report.passes == 1 ? "" : "es", report.pairs_per_second * 1e-9, 100 * report.ring_wait_fraction);
  for (const std::string &finding : findings) std::printf("note: %s\n", finding.c_str());
  print_written(folder.path());
}

/// The run itself, from the model to files.
int compute(const Communicator &communicator, const DriverOptions &options, const Settings &settings, double start) {
  const StopSignals signals;
  MetricFolder folder(communicator, options.value("output"), options.flag("overwrite"), options.value("model"));
  std::vector<std::string> labels;  // (N), or empty
  if (!options.value("labels").empty())
    labels = read_labels(options.value("labels"), settings.model.shape.rows, communicator);
  Model model = read_model(options.value("model"), settings.pairs, communicator);
  const RowPartition partition = model.points.partition();
  const double read_done = seconds_now();
  const std::shared_ptr<KernelOperator> op =
      make_operator(mpi_comm(communicator), settings.op, std::move(model.points));
  op->set_stop(StopSignals::asked);
  const double setup_done = seconds_now();
  const Metric found = metric(*op, model.results, settings.rank);

  Report report = make_report(communicator, options, *op);
  report.status = "complete";
  report.seconds_read = read_done - start;
  report.seconds_setup = setup_done - read_done;
  report.seconds_solve = seconds_now() - setup_done;
  report.seconds_total = seconds_now() - start;
  const std::vector<std::string> findings = folder.write(model.results, found, partition, report, labels);
  print_results(communicator, report, model.results, found, folder, findings);
  return exit_converged;
}

int run(const Communicator &communicator, DriverOptions &options) {
  const double start = seconds_now();
  Settings settings = get_settings(communicator, options);
  const RunPlan plan = plan_metric(communicator, settings.op, settings.model, settings.pairs);
  if (options.flag("dry_run")) {
    const double seconds = measure_differences(communicator, settings.op, settings.model.shape, settings.pairs - 1);
    if (communicator.rank() == 0) std::printf("%sone pass: %.3g s\n", memory_text(plan).c_str(), seconds);
    return exit_converged;
  }
  communicator.agree([&] { plan.check_room(); });
  settings.op.points_memory = plan.points_memory.value;
  return compute(communicator, options, settings, start);
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
