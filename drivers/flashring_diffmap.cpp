// flashring-diffmap: diffusion map of a point set.
//
// Equation: P psi_k = lambda_k psi_k, P_ij = w_i k(x_i,x_j) w_j / d_i, w = (K 1)^-alpha, d = w o K w.
//
//   mpirun -n 2 flashring-diffmap -points configs/digits.npy -beta 0.0033 -output output/digits
//   flashring-diffmap -generate circle:n=1000 -beta 10 -nev 6 -output output/circle
//
// Expected time: passes times N^2 over the pairs per second of the machine (a core with AVX-512 in fp32, d = 3, one
// column: about 8e9); blocks of 8 vectors take 7 to 50 passes for ten pairs. -dry_run tells both.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "driver.hpp"
#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/readers.hpp"
#include "flashring/results.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 12> own_options{{
    {"labels", "", "FILE", "one label per line, or numbers in a .npy or .h5 file: colours of map.png"},
    {"nev", "10", "1 <= nev <= N", "eigenpairs, the constant one counted; without -nev at most N"},
    {"time", "1", "t >= 0", "diffusion time of the embedding lambda_k^t psi_k"},
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

double get_time(const DriverOptions &options) {
  const double time = parse_real("-time", options.value("time"));
  FLASHRING_CHECK(std::isfinite(time) && time >= 0, "-time: ", time, " is not a finite number of at least 0");
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
  std::printf("%lld points, %d features; %s, alpha %g; %s on %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(r.rows), r.features, report.pair.c_str(), r.alpha, report.precision.c_str(),
              report.backend.c_str(), report.target.c_str(), report.ranks, report.threads);
  std::printf("\n  k  eigenvalue          residual   residual/gap\n");
  for (std::size_t k = 0; k < r.eigenvalues.size(); ++k)
    std::printf("%3zu  %.15f  %.2e   %.2e\n", k, r.eigenvalues[k], r.residuals[k], r.residual_over_gap[k]);
  std::string precisions;
  for (const auto &[precision, passes] : report.passes_in)
    precisions += (precisions.empty() ? "" : ", ") + std::to_string(passes) + " in " + precision;
  std::printf("\n%s; %s, %lld passes (%s), %.2f effective Gpairs/s, ring wait %.1f %%\n", map.status.c_str(),
              map.solver.c_str(), static_cast<long long>(report.passes), precisions.c_str(),
              report.pairs_per_second * 1e-9, 100 * report.ring_wait_fraction);
  for (const std::string &finding : r.diagnoses) std::printf("note: %s\n", finding.c_str());
}

/// Options as read, and the size that they mean.
struct Settings {
  InputOptions input;
  OperatorOptions op;
  DiffusionMapRequest request;
  PointShape shape;
};

Settings get_settings(const Communicator &communicator, DriverOptions &options) {
  Settings settings;
  communicator.agree([&] {
    options.read(settings.input, settings.op);
    settings.request.time = get_time(options);
    settings.request.nystrom = get_nystrom(options);
    get_checkpoints(options, settings.request.eigen);
    options.refuse_unused(false);
  });
  choose_device(communicator, settings.op);
  settings.op.form = Form::symmetric;
  settings.request.eigen.seed = settings.request.nystrom.seed = settings.op.seed;
  settings.request.eigen.tolerance = default_tolerance(settings.op.precision);
  return settings;
}

/// What the run takes of memory and time, printed.
int dry_run(const Communicator &communicator, const Settings &settings, const DiffusionMapPlan &plan) {
  const int pairs = settings.request.eigen.pairs;
  const PlanSeconds time = measure_plan(communicator, settings.op, plan, pairs);
  if (communicator.rank() == 0)
    std::fputs(plan_text(plan, time, pairs, to_string(settings.op.precision)).c_str(), stdout);
  return exit_converged;
}

/// Set-up and solution; `setup_done` is the moment between the two.
DiffusionMap solve(const Communicator &communicator, const DriverOptions &options, KernelOperator &op, Mat A,
                   DiffusionMapRequest &request, double &setup_done) {
  ProgressLine line(communicator, op);
  request.eigen.progress = [&](const EigenProgress &progress) { line.show(progress); };
  request.eigen.before_first_pass = [&] {
    communicator.agree([&] { options.refuse_unused(true); });
    if (request.eigen.restart.empty()) op.degree();  // the two set-up passes; a checkpoint has what they give
    setup_done = seconds_now();
  };
  return diffusion_map(A, op, request);
}

void write_results(const Communicator &communicator, OutputFolder &folder, const DiffusionMap &map,
                   const Report &report, const std::vector<std::string> &labels) {
  const std::vector<std::string> findings = folder.write(map.results, report, labels);
  if (communicator.rank() != 0) return;
  for (const std::string &finding : findings) std::printf("note: %s\n", finding.c_str());
  std::printf("written to %s/:", folder.path().c_str());
  for (const char *file : {"results.h5", "embedding.npy", "spectrum.png", "map.png", "report.json"})
    if (std::filesystem::exists(std::filesystem::path(folder.path()) / file)) std::printf(" %s", file);
  std::printf("\n");
}

/// The run itself, from points to files.
int compute(const Communicator &communicator, const DriverOptions &options, Settings &settings, double start) {
  const StopSignals signals;
  OutputFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  Input input = read_input(settings.input, communicator);
  std::vector<std::string> labels;  // (N), or empty
  if (!options.value("labels").empty())
    labels = read_labels(options.value("labels"), settings.shape.rows, communicator);
  const double read_done = seconds_now();
  folder.write_points(input.points);
  const double points_written = seconds_now();

  const MPI_Comm comm = mpi_comm(communicator);
  std::shared_ptr<KernelOperator> op = make_operator(comm, settings.op, std::move(input.points));
  if (!settings.input.weights.empty()) op->update_measure(input.weights);
  op->set_stop(StopSignals::asked);
  Mat A = nullptr;
  check_petsc(mat_create(comm, op, &A), "mat_create");
  double setup_done = 0;
  const DiffusionMap map = solve(communicator, options, *op, A, settings.request, setup_done);
  const double solve_done = seconds_now();
  check_petsc(MatDestroy(&A), "MatDestroy");

  Report report = make_report(communicator, options, *op);
  op.reset();  // its memory is free while files are written, unless a solver that was interrupted holds on to it
  report.status = map.complete ? "converged" : map.status;
  report.seconds_read = read_done - start;
  report.seconds_setup = setup_done - points_written;
  report.seconds_solve = solve_done - setup_done;
  report.seconds_total = seconds_now() - start - (points_written - read_done);  // the folder adds its own seconds
  print_results(communicator, map, report);
  write_results(communicator, folder, map, report, labels);
  if (map.interrupted) return exit_interrupted;
  return map.complete ? exit_converged : exit_not_converged;
}

int run(const Communicator &communicator, DriverOptions &options) {
  const double start = seconds_now();
  Settings settings = get_settings(communicator, options);
  settings.shape = input_shape(settings.input, communicator);
  communicator.agree([&] { settings.request.eigen.pairs = get_pairs(options, settings.shape.rows); });
  const bool dry = options.flag("dry_run");
  const DiffusionMapPlan plan =
      plan_diffusion_map(communicator, settings.op, settings.shape, settings.request.eigen.pairs, dry);
  if (dry) return dry_run(communicator, settings, plan);
  communicator.agree([&] { plan.check_room(); });
  settings.op.exchange = plan.exchange.value;  // what was found to fit is what runs
  settings.op.points_memory = plan.points_memory.value;
  if (communicator.rank() == 0)
    std::printf("exchange %s: %s\n", plan.exchange.value.c_str(), plan.exchange.reason.c_str());
  if (communicator.rank() == 0 && plan.uses_device)
    std::printf("points in the memory of the %s: %s\n", plan.points_memory.value.c_str(),
                plan.points_memory.reason.c_str());
  return compute(communicator, options, settings, start);
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
