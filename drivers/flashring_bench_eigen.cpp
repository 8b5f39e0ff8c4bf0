// flashring-bench-eigen: which eigensolver is the fastest on a point set, and why.
//
//   flashring-bench-eigen -generate random_swiss_roll:n=4000 -alpha 1 -beta 0.0555
//   mpirun -n 2 flashring-bench-eigen -generate normal:n=20000,d=3 -precision fp32 -repeats 5
//   flashring-bench-eigen -points configs/digits.npy -beta 0.0033 -solvers "krylovschur;lobpcg -eps_lobpcg_blocksize
//   16"
//
// Equation: M v = lambda v, the leading pairs of a diffusion map (docs/mathematics.md). Every solver of the list runs
// in turn; a table is written to standard error, one JSON line for each solver to standard output.
// docs/flashring-bench-eigen.md says what its fields mean.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "eigen_bench.hpp"
#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 6> own_options{{
    {"nev", "10", "1 <= nev <= N", "eigenpairs, the constant one counted"},
    {"eps_tol", "", "> 0", "relative residual; without: 1e-8 in fp64, 1e-6 in fp32, 1e-4 in reduced"},
    {"solvers",
     "krylovschur; blockkrylovschur; blockkrylovschur -eps_blockkrylovschur_blocksize 32; lobpcg -eps_lobpcg_blocksize "
     "16; subspace -eps_ncv 32",
     "TYPE [-option value ...];...", "what runs: words of -eps_type, each with options of its own"},
    {"repeats", "3", ">= 1", "runs of every solver that are timed, in turn, after one that is not"},
    {"fresh", "true", "true|false",
     "every run has a new operator, so what a solver measures of it counts in its seconds; false: one operator for "
     "all"},
    {"version", "", "", "print version and build, and stop"},
}};

constexpr DriverText text = {
    "flashring-bench-eigen", "eigensolvers side by side: passes, seconds, memory and missed pairs",
    "flashring-bench-eigen -generate random_swiss_roll:n=4000 -alpha 1 -beta 0.0555", own_options};

std::int64_t get_count(const DriverOptions &options, const char *name, std::int64_t most) {
  const std::int64_t value = parse_integer(std::string("-") + name, options.value(name));
  FLASHRING_CHECK(value >= 1 && value <= most, "-", name, ": ", value, " is outside [1, ", most, "]");
  return value;
}

double get_tolerance(const DriverOptions &options, Precision precision) {
  if (options.value("eps_tol").empty()) return default_tolerance(precision);
  const double tolerance = parse_real("-eps_tol", options.value("eps_tol"));
  FLASHRING_CHECK(std::isfinite(tolerance) && tolerance > 0, "-eps_tol: ", tolerance,
                  " is not a positive finite number");
  return tolerance;
}

EigenBenchSettings get_settings(const Communicator &communicator, DriverOptions &options) {
  EigenBenchSettings settings;
  communicator.agree([&] {
    options.read(settings.input, settings.op);
    options.refuse_unused(true);  // those of the solvers stand in their list
    settings.solvers = parse_solvers(options.value("solvers"));
    settings.repeats = static_cast<int>(get_count(options, "repeats", 1000000));
    settings.fresh = options.flag("fresh");
    settings.request.tolerance = get_tolerance(options, settings.op.precision);
  });
  settings.op.form = Form::symmetric;
  settings.request.seed = settings.op.seed;
  choose_device(communicator, settings.op);
  settings.shape = input_shape(settings.input, communicator);
  communicator.agree([&] {
    const std::int64_t most = std::min<std::int64_t>(settings.shape.rows, std::numeric_limits<int>::max());
    settings.request.pairs = static_cast<int>(get_count(options, "nev", most));
  });
  return settings;
}

int run(const Communicator &communicator, DriverOptions &options) {
  EigenBenchSettings settings = get_settings(communicator, options);
  RunPlan plan =
      plan_diffusion_map(communicator, settings.op, settings.shape, settings.request.pairs, {.landmarks = "none"});
  plan_features(settings.input, plan);
  communicator.agree([&] { plan.check_room(); });
  settings.op.exchange = plan.exchange.value;
  settings.op.points_memory = plan.points_memory.value;

  const StopSignals signals;
  bool interrupted = false;
  const std::vector<SolverFindings> all = run_solvers(communicator, options, settings, interrupted);
  if (communicator.rank() == 0) print_solvers(communicator, options, settings, all);
  if (interrupted) {
    if (communicator.rank() == 0)
      std::fprintf(stderr, "%s: interrupted by the user; %zu of %d runs of the first solver were timed\n", text.name,
                   all[0].runs.size(), settings.repeats);
    return exit_interrupted;
  }
  const int pairs = settings.request.pairs;
  const bool found = std::any_of(all.begin(), all.end(), [&](const SolverFindings &f) { return f.right(pairs); });
  return found ? exit_converged : exit_not_converged;
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
