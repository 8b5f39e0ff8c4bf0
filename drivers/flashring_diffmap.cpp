// flashring-diffmap: diffusion map of a point set.
//
// Equation: P psi_k = lambda_k psi_k, P_ij = w_i k(x_i,x_j) w_j / d_i, w = (K 1)^-alpha, d = w o K w.
//
//   mpirun -n 2 flashring-diffmap -points configs/digits.npy -beta 0.0033 -output output/digits
//   flashring-diffmap -generate circle:n=1000 -beta 10 -nev 6 -output output/circle
//
// Expected time: passes times N^2 over the pairs per second of the machine (a core with AVX-512 in fp32, d = 3: about
// 8e9); krylovschur takes 30 to 220 passes for ten pairs.
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "driver.hpp"
#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/readers.hpp"
#include "flashring/results.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 8> own_options{{
    {"points", "", "FILE.npy", "points, shape (N, d)"},
    {"generate", "", "SET:key=value,...",
     "generated points: circle:n= torus:n=,q= hypercube:d= swiss_roll:n=,m= clusters:n=,d=,k=,spread=,seed= "
     "normal:n=,d=,seed="},
    {"labels", "", "FILE", "one label per line: colours of map.png"},
    {"nev", "10", "1 <= nev <= N", "eigenpairs, the constant one counted"},
    {"time", "1", "t >= 0", "diffusion time of the embedding lambda_k^t psi_k"},
    {"output", "output", "FOLDER", "results.h5, embedding.npy, report.json, spectrum.png, map.png"},
    {"overwrite", "false", "true|false", "replace another run in the output folder"},
    {"version", "false", "true|false", "print the version and stop"},
}};

constexpr DriverText text = {
    "flashring-diffmap", "diffusion map of a point set, the kernel matrix never stored",
    "mpirun -n 2 flashring-diffmap -points configs/digits.npy -beta 0.0033 -output output/digits", own_options};

PointBlock get_points(const Communicator &communicator, const DriverOptions &options) {
  const std::string &file = options.value("points");
  const std::string &set = options.value("generate");
  communicator.agree([&] {
    FLASHRING_CHECK(file.empty() != set.empty(), "give the points either by -points FILE.npy or by -generate SET",
                    file.empty() ? "" : ", not both");
  });
  return file.empty() ? generate_points(set, communicator) : read_npy(file, communicator);
}

double get_time(const DriverOptions &options) {
  const double time = parse_real("-time", options.value("time"));
  FLASHRING_CHECK(std::isfinite(time) && time >= 0, "-time: ", time, " is not a finite number of at least 0");
  return time;
}

int get_pairs(const DriverOptions &options, std::int64_t rows) {
  const std::int64_t pairs = parse_integer("-nev", options.value("nev"));
  FLASHRING_CHECK(pairs >= 1 && pairs <= rows, "-nev: ", pairs, " is outside [1, ", rows, "]: there are ", rows,
                  " points");
  return static_cast<int>(pairs);
}

void print_results(const Communicator &communicator, const KernelOperator &op, const DiffusionMap &map,
                   const Report &report) {
  if (communicator.rank() != 0) return;
  const Results &r = map.results;
  std::printf("%lld points, %d features; %s, alpha %g; %s on %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(r.rows), r.features, report.pair.c_str(), op.options().alpha,
              report.precision.c_str(), report.backend.c_str(), report.target.c_str(), report.ranks, report.threads);
  std::printf("\n  k  eigenvalue          residual   residual/gap\n");
  for (std::size_t k = 0; k < r.eigenvalues.size(); ++k)
    std::printf("%3zu  %.15f  %.2e   %.2e\n", k, r.eigenvalues[k], r.residuals[k], r.residual_over_gap[k]);
  std::printf("\n%s; %s, %lld passes, %.2f effective Gpairs/s, ring wait %.1f %%\n", map.status.c_str(),
              map.solver.c_str(), static_cast<long long>(report.passes), report.pairs_per_second * 1e-9,
              100 * report.ring_wait_fraction);
  for (const std::string &finding : r.diagnoses) std::printf("note: %s\n", finding.c_str());
}

/// Everything that is read before the first pass.
struct Inputs {
  PointBlock points;
  std::vector<std::string> labels;  // (N), or empty
  DiffusionMapRequest request;
};

Inputs get_inputs(const Communicator &communicator, const DriverOptions &options, const OperatorOptions &settings) {
  Inputs inputs;
  communicator.agree([&] { inputs.request.time = get_time(options); });
  inputs.points = get_points(communicator, options);
  const std::int64_t rows = inputs.points.partition().rows();
  if (!options.value("labels").empty()) inputs.labels = read_labels(options.value("labels"), rows, communicator);
  communicator.agree([&] { inputs.request.eigen.pairs = get_pairs(options, rows); });
  inputs.request.eigen.seed = settings.seed;
  // fp32 sums carry about 1e-7 of noise; below 1e-6 a solver would only chase it.
  inputs.request.eigen.tolerance = settings.precision == Precision::fp32 ? 1e-6 : 1e-8;
  return inputs;
}

/// Set-up and solution; `setup_done` is the moment between the two.
DiffusionMap solve(const Communicator &communicator, const DriverOptions &options, KernelOperator &op, Mat A,
                   DiffusionMapRequest &request, double &setup_done) {
  ProgressLine line(communicator, op);
  request.eigen.progress = [&](const EigenProgress &progress) { line.show(progress); };
  request.eigen.before_first_pass = [&] {
    communicator.agree([&] { options.refuse_unused(); });
    op.degree();  // the two set-up passes
    setup_done = seconds_now();
  };
  return diffusion_map(A, op, request);
}

void write_results(const Communicator &communicator, OutputFolder &folder, const KernelOperator &op,
                   const DiffusionMap &map, const Report &report, const std::vector<std::string> &labels) {
  const std::vector<std::string> findings = folder.write(map.results, report, op.points(), labels);
  if (communicator.rank() != 0) return;
  for (const std::string &finding : findings) std::printf("note: %s\n", finding.c_str());
  std::printf("written to %s/:", folder.path().c_str());
  for (const char *file : {"results.h5", "embedding.npy", "spectrum.png", "map.png", "report.json"})
    if (std::filesystem::exists(std::filesystem::path(folder.path()) / file)) std::printf(" %s", file);
  std::printf("\n");
}

int run(const Communicator &communicator, DriverOptions &options) {
  const double start = seconds_now();
  OperatorOptions settings;
  communicator.agree([&] { options.read(settings); });
  settings.form = Form::symmetric;
  if (options.flag("version")) {
    if (communicator.rank() == 0) std::printf("flashring %s (%s)\n", version(), git_commit());
    return exit_converged;
  }
  Inputs inputs = get_inputs(communicator, options, settings);
  OutputFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  const double read_done = seconds_now();

  const std::shared_ptr<KernelOperator> op = make_operator(mpi_comm(communicator), settings, std::move(inputs.points));
  Mat A = nullptr;
  check_petsc(mat_create(mpi_comm(communicator), op, &A), "mat_create");
  double setup_done = 0;
  const DiffusionMap map = solve(communicator, options, *op, A, inputs.request, setup_done);
  const double solve_done = seconds_now();
  check_petsc(MatDestroy(&A), "MatDestroy");

  Report report = make_report(communicator, options, *op);
  report.status = map.complete ? "converged" : map.status;
  report.seconds_read = read_done - start;
  report.seconds_setup = setup_done - read_done;
  report.seconds_solve = solve_done - setup_done;
  report.seconds_total = seconds_now() - start;
  print_results(communicator, *op, map, report);
  write_results(communicator, folder, *op, map, report, inputs.labels);
  return map.complete ? exit_converged : exit_not_converged;
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
