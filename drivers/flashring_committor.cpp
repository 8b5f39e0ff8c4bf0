// flashring-committor: chance to meet one set of points before another, mean first-passage times, reactive current.
//
// Equation: (I - P) q = 0 outside A and B, q = 0 on A, 1 on B; (I - P) t = 1 outside B, t = 0 on B.
//
//   mpirun -n 2 flashring-committor -generate double_well:n=4000 -beta 50 -set_a ball:-1,0,r=0.3 -set_b ball:1,0,r=0.3
//   flashring-committor -points x.npy -set_a reactant.txt -set_b product.txt -times -output output/passage
//
// Expected time: passes times N^2 over the pairs per second of the machine; 10 to 60 passes of one or two columns.
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "driver.hpp"
#include "flashring/check.hpp"
#include "flashring/committor.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/readers.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 12> own_options{{
    {"set_a", "", "FILE|ball:X1,...,Xd,r=R", "points of set A: row numbers, counted from 0, or a ball"},
    {"set_b", "", "FILE|ball:X1,...,Xd,r=R", "the same of set B"},
    {"times", "false", "true|false", "mean first-passage times to B, too"},
    {"tolerance", "1e-8", "0 < tolerance < 1", "relative residual, measured in fp64"},
    {"max_it", "10000", ">= 1", "steps of conjugate gradients, at most"},
    {"preconditioner", "auto", "auto|diagonal|nystrom",
     "nystrom: diagonal and a coarse space of landmarks; auto: that where the first steps predict many"},
    {"landmarks", "kmeans++", "kmeans++|uniform|leverage", "points whose eigenvectors make the coarse space"},
    {"landmark_count", "0", ">= 0", "how many; 0: about 400, none for few points"},
    {"output", "output", "FOLDER", "results.h5, report.json, map.png"},
    {"overwrite", "false", "true|false", "replace another run in the output folder"},
    {"dry_run", "false", "true|false", "say what the run takes of memory, compute and write nothing"},
    {"version", "", "", "print version and build, and stop"},
}};

/// Nothing is solved for eigenvalues.
constexpr std::array<std::string_view, 3> without_effect{"form", "ramp", "memory"};

constexpr DriverText text = {"flashring-committor",
                             "committor and mean first-passage times of a point set",
                             "mpirun -n 2 flashring-committor -generate double_well:n=4000 -beta 50 -set_a "
                             "ball:-1,0,r=0.3 -set_b ball:1,0,r=0.3",
                             own_options,
                             true,
                             without_effect,
                             false};

struct Settings {
  InputOptions input;
  OperatorOptions op;
  CommittorRequest request;
};

Settings get_settings(const Communicator &communicator, DriverOptions &options) {
  Settings settings;
  CommittorRequest &request = settings.request;
  communicator.agree([&] {
    options.read(settings.input, settings.op);
    options.refuse_unused(true);
    for (const char *name : {"set_a", "set_b"})
      FLASHRING_CHECK(!options.value(name).empty(), "-", name, " is missing; give a file of row numbers or a ball");
    check_alpha(options, settings.op, "alpha");
    request.times = options.flag("times");
    request.tolerance = parse_real("-tolerance", options.value("tolerance"));
    const std::int64_t most = parse_integer("-max_it", options.value("max_it"));
    request.most_iterations = static_cast<int>(std::clamp<std::int64_t>(most, 0, std::numeric_limits<int>::max()));
    request.preconditioner = options.value("preconditioner");
    request.nystrom.landmarks = options.value("landmarks");
    request.nystrom.count = static_cast<int>(parse_integer("-landmark_count", options.value("landmark_count")));
    request.nystrom.seed = settings.op.seed;
    check_committor(request);
  });
  choose_device(communicator, settings.op);
  settings.op.form = Form::symmetric;
  settings.op.ramp = "none";
  return settings;
}

void print_results(const Communicator &communicator, const Committor &found, const Report &report,
                   const std::vector<std::string> &findings, const std::string &folder) {
  if (communicator.rank() != 0) return;
  const CommittorResults &r = found.results;
  std::printf("%lld points, %d features; %s, %s; %s on %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(r.rows), r.features, report.pair.c_str(),
              normalization_text(r.normalization, r.alpha).c_str(), report.precision.c_str(), report.backend.c_str(),
              report.target.c_str(), report.ranks, report.threads);
  std::printf("rate %.10g passages from A to B per step; residual of the committor %.2e", r.rate, r.committor_residual);
  if (r.first_passage_residual > 0) std::printf(", of the times %.2e", r.first_passage_residual);
  std::printf("\n%s; %d iterations, %lld passes, %.2f effective Gpairs/s, ring wait %.1f %%\n", found.status.c_str(),
              r.iterations, static_cast<long long>(report.passes), report.pairs_per_second * 1e-9,
              100 * report.ring_wait_fraction);
  for (const std::string &finding : findings) std::printf("note: %s\n", finding.c_str());
  print_written(folder);
}

/// From points to files.
int compute(const Communicator &communicator, const DriverOptions &options, Settings &settings) {
  const double start = seconds_now();
  const StopSignals signals;
  CommittorFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  Input input = read_input(settings.input, communicator);
  CommittorRequest &request = settings.request;
  request.a = read_point_set("-set_a", options.value("set_a"), input.points, communicator);
  request.b = read_point_set("-set_b", options.value("set_b"), input.points, communicator);
  folder.show(input.points);
  const double read_done = seconds_now();
  const std::shared_ptr<KernelOperator> op = make_operator(mpi_comm(communicator), settings.op, std::move(input));
  op->set_stop(StopSignals::asked);
  print_bandwidth(communicator, *op);
  op->degree();
  const double setup_done = seconds_now();
  StatusLine line(communicator);
  request.progress = [&](int iterations, double residual) {
    std::array<char, 100> words{};
    std::snprintf(words.data(), words.size(), "%d iterations, residual %.2e, %.0f s", iterations, residual,
                  line.elapsed());
    line.show(words.data());
  };
  const Committor found = committor(*op, request);
  Report report = make_report(communicator, options, *op);
  report.status = found.status;
  report.seconds_read = read_done - start;
  report.seconds_setup = setup_done - read_done;
  report.seconds_solve = seconds_now() - setup_done;
  report.seconds_total = seconds_now() - start;
  const std::vector<std::string> findings = folder.write(found.results, report);
  print_results(communicator, found, report, findings, folder.path());
  if (found.interrupted) return exit_interrupted;
  return found.complete ? exit_converged : exit_not_converged;
}

int run(const Communicator &communicator, DriverOptions &options) {
  Settings settings = get_settings(communicator, options);
  const PointShape shape = input_shape(settings.input, communicator);
  RunPlan plan = plan_committor(communicator, settings.op, shape, settings.request.times);
  plan_features(settings.input, plan);
  if (options.flag("dry_run")) {
    if (communicator.rank() == 0) std::fputs(memory_text(plan).c_str(), stdout);
    return exit_converged;
  }
  communicator.agree([&] { plan.check_room(); });
  settings.op.exchange = plan.exchange.value;  // what was found to fit is what runs
  settings.op.points_memory = plan.points_memory.value;
  return compute(communicator, options, settings);
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text, flashring::run); }
