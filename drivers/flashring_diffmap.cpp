// flashring-diffmap: diffusion map of a point set.
//
// Equation: P psi_k = lambda_k psi_k, P_ij = w_i k(x_i,x_j) w_j / d_i, w = (K 1)^-alpha, d = w o K w.
//
//   mpirun -n 2 flashring-diffmap -points configs/digits.npy -beta 0.0033 -output output/digits
//   flashring-diffmap -generate circle:n=1000 -beta 10 -nev 6 -output output/circle
//   flashring-diffmap -generate circle:n=1000 -beta 10 -doob_eigenvector ball:1,0,r=1 -output output/half_circle
//   flashring-diffmap -generate circle:n=1000 -beta_list 5,10,20 -nev 6 -output output/circles
//
// Expected time: passes times N^2 over the pairs per second of the machine (a core with AVX-512 in fp32, d = 3, one
// column: about 8e9); blocks of 8 vectors take 7 to 50 passes for ten pairs. -dry_run tells both.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "flashring/check.hpp"
#include "map_run.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 16> own_options{{
    {"labels", "", "FILE", "one label per line, or numbers in a .npy or .h5 file: colours of map.png"},
    {"nev", "10", "1 <= nev <= N", "eigenpairs, the constant one counted; without -nev at most N"},
    {"beta_list", "", "NUMBER,...", "a map for each of these beta (gaussian), each solved from the one before"},
    {"alpha_list", "", "NUMBER,...", "the same for alpha; with both lists every combination"},
    {"time", "1", "t >= 0", "diffusion time of the embedding lambda_k^t psi_k"},
    {"doob", "", "FILE", "one positive number h per point: the map of the Doob transform of P by h"},
    {"doob_eigenvector", "", "FILE|ball:X1,...,Xd,r=R",
     "rows of a set, or a ball: the map of P on it, killed outside, transformed by its Perron vector"},
    {"landmarks", "kmeans++", "kmeans++|uniform|leverage|none",
     "points whose eigenvectors blockkrylovschur starts from (Nystrom); none: random vectors"},
    {"landmark_count", "0", ">= 0", "how many; 0: about 400, none for few points"},
    {"checkpoint", "", "FILE", "where blockkrylovschur keeps its state; the last two are kept, FILE and FILE.previous"},
    {"checkpoint_every", "600", ">= 0, in seconds",
     "time between two of them; signals that end the run write one, too"},
    {"restart", "", "FILE", "go on from such a file, on any number of ranks"},
    {"output", "output", "FOLDER", "results.h5, embedding.npy, report.json, spectrum.png, map.png"},
    {"overwrite", "false", "true|false", "replace another run in the output folder"},
    {"dry_run", "false", "true|false", "say what the run takes of memory and time, compute and write nothing"},
    {"version", "", "", "print version and build, and stop"},
}};

constexpr DriverText text = {
    "flashring-diffmap", "diffusion map of a point set, the kernel matrix never stored",
    "mpirun -n 2 flashring-diffmap -points configs/digits.npy -beta 0.0033 -output output/digits", own_options};

double get_time(const DriverOptions &options, const PairFunction &pair) {
  const double time = parse_real("-time", options.value("time"));
  check_time(pair, time);
  return time;
}

NystromOptions get_nystrom(const DriverOptions &options) {
  NystromOptions nystrom;
  nystrom.landmarks = options.value("landmarks");
  const std::int64_t count = parse_integer("-landmark_count", options.value("landmark_count"));
  constexpr std::int64_t most = 100000;  // a dense eigenproblem of that order is beyond one rank's memory and patience
  FLASHRING_CHECK(count >= 0 && count <= most, "-landmark_count: ", count, " is outside [0, ", most, "]");
  nystrom.count = static_cast<int>(count);
  check_nystrom(nystrom);
  return nystrom;
}

void get_checkpoints(const DriverOptions &options, EigenRequest &request) {
  request.checkpoint = options.value("checkpoint");
  request.restart = options.value("restart");
  request.checkpoint_every = parse_real("-checkpoint_every", options.value("checkpoint_every"));
  FLASHRING_CHECK(std::isfinite(request.checkpoint_every) && request.checkpoint_every >= 0,
                  "-checkpoint_every: ", request.checkpoint_every, " is no time in seconds, 0 or more");
}

int get_pairs(const DriverOptions &options, std::int64_t rows) {
  std::int64_t pairs = parse_integer("-nev", options.value("nev"));
  if (!options.given("nev")) pairs = std::min(pairs, rows);
  const std::int64_t most = std::min<std::int64_t>(rows, std::numeric_limits<int>::max());
  FLASHRING_CHECK(pairs >= 1 && pairs <= most, "-nev: ", pairs, " is outside [1, ", most, "]: there are ", rows,
                  " points");
  return static_cast<int>(pairs);
}

void print_results(const Communicator &communicator, const DiffusionMap &map, const Report &report) {
  if (communicator.rank() != 0) return;
  const Results &r = map.results;
  std::printf("%lld points, %d features; %s, %s; %s on %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(r.rows), r.features, report.pair.c_str(),
              normalization_text(r.normalization, r.alpha).c_str(), report.precision.c_str(), report.backend.c_str(),
              report.target.c_str(), report.ranks, report.threads);
  std::printf("\n  k  eigenvalue          residual   residual/gap\n");
  for (std::size_t k = 0; k < r.eigenvalues.size(); ++k)
    std::printf("%3zu  %.15f  %.2e   %.2e\n", k, r.eigenvalues[k], r.residuals[k], r.residual_over_gap[k]);
  std::printf("\n%s; %s, %s, %.2f effective Gpairs/s, ring wait %.1f %%\n", map.status.c_str(), map.solver.c_str(),
              passes_text(report).c_str(), report.pairs_per_second * 1e-9, 100 * report.ring_wait_fraction);
  for (const std::string &finding : r.diagnoses) std::printf("note: %s\n", finding.c_str());
}

/// The maps of -beta_list and -alpha_list. What else says what beta and alpha are would be passed over in silence.
std::vector<SweepPoint> get_sweep(const DriverOptions &options, const OperatorOptions &op) {
  for (const char *name : {"alpha", "alpha_list"}) check_alpha(options, op, name);
  for (const std::string name : {"beta", "alpha"}) {
    if (!options.given(name + "_list")) continue;
    FLASHRING_CHECK(!options.value(name + "_list").empty(), "-", name, "_list: there is no value in it");
    FLASHRING_CHECK(!options.given(name), "-", name, " and -", name, "_list both say what ", name,
                    " is; give one of them");
  }
  if (options.given("beta_list")) {
    FLASHRING_CHECK(op.pair.kind == PairKind::gaussian, "-beta_list belongs to gaussian, not to -pair ",
                    to_string(op.pair), "; run that pair function once for each of its parameters");
    FLASHRING_CHECK(op.median, "-pair ", to_string(op.pair),
                    " and -beta_list both say what beta is; write -pair gaussian");
  }
  return sweep_points(options.value("beta_list"), options.value("alpha_list"));
}

MapSettings get_settings(const Communicator &communicator, DriverOptions &options) {
  MapSettings settings;
  communicator.agree([&] {
    options.read(settings.input, settings.op);
    settings.request.time = get_time(options, settings.op.pair);
    settings.request.nystrom = get_nystrom(options);
    settings.doob = options.value("doob");
    settings.doob_set = options.value("doob_eigenvector");
    FLASHRING_CHECK(settings.doob.empty() || settings.doob_set.empty(),
                    "-doob and -doob_eigenvector both say what h is; give one of them");
    get_checkpoints(options, settings.request.eigen);
    settings.sweep = get_sweep(options, settings.op);
    options.refuse_unused(false);
  });
  choose_device(communicator, settings.op);
  settings.op.form = Form::symmetric;
  settings.request.eigen.seed = settings.request.nystrom.seed = settings.op.seed;
  settings.request.eigen.tolerance = default_tolerance(settings.op.precision);
  return settings;
}

/// What the run takes of memory and time, printed.
int dry_run(const Communicator &communicator, const MapSettings &settings, const DiffusionMapPlan &plan) {
  const int pairs = settings.request.eigen.pairs;
  const PlanSeconds time = measure_plan(communicator, settings.op, plan, pairs);
  if (communicator.rank() == 0) std::fputs(plan_text(plan, time, pairs, settings.op).c_str(), stdout);
  if (communicator.rank() == 0 && !settings.sweep.empty())
    std::printf("a sweep of %zu maps: %zu times that at most, since each starts from the one before\n",
                settings.sweep.size(), settings.sweep.size());
  return exit_converged;
}

void write_results(const Communicator &communicator, OutputFolder &folder, const DiffusionMap &map,
                   const Report &report, const std::vector<std::string> &labels) {
  const std::vector<std::string> findings = folder.write(map.results, report, labels);
  if (communicator.rank() != 0) return;
  for (const std::string &finding : findings) std::printf("note: %s\n", finding.c_str());
  print_written(folder.path());
}

/// A single map, from points to files.
int run_map(const Communicator &communicator, const DriverOptions &options, const MapSettings &settings) {
  OutputFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  const std::vector<std::string> labels = map_labels(communicator, options, settings.shape.rows);
  const auto [map, report] = solve_map(communicator, options, settings, folder, nullptr);
  print_results(communicator, map, report);
  write_results(communicator, folder, map, report, labels);
  return exit_code(map);
}

int run(const Communicator &communicator, DriverOptions &options) {
  MapSettings settings = get_settings(communicator, options);
  settings.shape = input_shape(settings.input, communicator);
  communicator.agree([&] { settings.request.eigen.pairs = get_pairs(options, settings.shape.rows); });
  const bool dry = options.flag("dry_run");
  DiffusionMapPlan plan = plan_diffusion_map(communicator, settings.op, settings.shape, settings.request.eigen.pairs,
                                             settings.request.nystrom, dry);
  plan_features(settings.input, plan);
  if (!settings.doob.empty() || !settings.doob_set.empty()) plan_doob(plan);
  if (!settings.sweep.empty()) plan_neighbour(plan, settings.request.eigen.pairs);
  if (dry) return dry_run(communicator, settings, plan);
  communicator.agree([&] { plan.check_room(); });
  settings.op.exchange = plan.exchange.value;  // what was found to fit is what runs
  settings.op.points_memory = plan.points_memory.value;
  if (communicator.rank() == 0)
    std::printf("exchange %s: %s\n", plan.exchange.value.c_str(), plan.exchange.reason.c_str());
  if (communicator.rank() == 0 && plan.uses_device)
    std::printf("points in the memory of the %s: %s\n", plan.points_memory.value.c_str(),
                plan.points_memory.reason.c_str());
  const StopSignals signals;
  return settings.sweep.empty() ? run_map(communicator, options, settings) : run_sweep(communicator, options, settings);
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
