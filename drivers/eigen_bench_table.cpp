// The lines of solvers and the table of them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "eigen_bench.hpp"

namespace flashring {
namespace {

double largest(std::span<const double> values) {
  double most = 0;
  for (const double value : values) most = std::max(most, value);
  return most;
}

double columns_of(const SolverRun &run) {
  return run.passes > 0 ? static_cast<double>(run.column_passes) / static_cast<double>(run.passes) : 0;
}

double seconds_per_pass(const SolverRun &run) {
  return run.passes > 0 ? run.pass_seconds / static_cast<double>(run.passes) : 0;
}

/// Seconds of the fastest; NaN where nobody found all pairs.
double fastest_seconds(std::span<const SolverFindings> all, int pairs) {
  const int fastest = fastest_of(all, pairs);
  return fastest < 0 ? std::nan("") : all[static_cast<std::size_t>(fastest)].median().seconds;
}

/// JSON knows no NaN.
BenchLine number_or_null(double value) { return std::isfinite(value) ? BenchLine(value) : BenchLine(); }

BenchLine line_of(const BenchLine &common, const SolverFindings &found, double fastest, int pairs) {
  const SolverRun &run = found.median();
  BenchLine line = common;
  line["solver"] = found.entry.text;
  line["passes"] = run.passes;
  line["column_passes"] = run.column_passes;
  line["repeats"] = found.runs.size();
  line["seconds"] = run.seconds;
  line["seconds_best"] = found.least_seconds();
  line["pass_seconds"] = run.pass_seconds;
  line["seconds_per_pass"] = seconds_per_pass(run);
  line["other_seconds"] = run.seconds - run.pass_seconds;
  line["cpu_seconds"] = run.cpu_seconds;
  line["ratio"] = number_or_null(run.seconds / fastest);
  line["status"] = found.status;
  line["found"] = found.values.size();
  line["missed"] = found.missed;
  line["right"] = found.right(pairs);
  line["residual"] = number_or_null(largest(found.residuals));
  line["memory_bytes"] = run.memory > 0 ? whole(run.memory) : BenchLine();
  line["eigenvalues"] = found.values;
  return line;
}

void print_row(const SolverFindings &found, double fastest, int pairs, int width) {
  const SolverRun &run = found.median();
  const double ratio = run.seconds / fastest;
  const bool right = found.right(pairs);
  std::fprintf(stderr, "%-*s %6lld %8.1f %9.4g %9.3g %9.4g %6.2f%s  %8.1e %8.1f  ", width, found.entry.text.c_str(),
               static_cast<long long>(run.passes), columns_of(run), run.seconds, 1e3 * seconds_per_pass(run),
               run.seconds - run.pass_seconds, ratio, right && ratio <= 1 ? "*" : " ", largest(found.residuals),
               1e-6 * run.memory);
  if (right)
    std::fprintf(stderr, "all\n");
  else
    std::fprintf(stderr, "%zu of %d, %d missed; %s\n", found.values.size(), pairs, found.missed, found.status.c_str());
}

void print_table(const EigenBenchSettings &settings, const Communicator &communicator, const Backend &backend,
                 std::span<const SolverFindings> all) {
  const int pairs = settings.request.pairs;
  const double fastest = fastest_seconds(all, pairs);
  std::size_t width = 6;
  for (const SolverFindings &found : all) width = std::max(width, found.entry.text.size());
  const auto name_width = static_cast<int>(width);
  const std::string weights = normalization_text(
      settings.input.target.empty() ? to_string(settings.op.normalization) : "target", settings.op.alpha);
  std::fprintf(stderr, "%lld points, %d features; %s, %s, in %s on %s (%s), %d ranks of %d threads\n",
               static_cast<long long>(settings.shape.rows), settings.shape.features,
               to_string(settings.op.pair).c_str(), weights.c_str(), to_string(settings.op.precision), backend.name,
               backend.target, communicator.size(), settings.op.threads);
  std::fprintf(stderr, "%d pairs to %.1e; median of %zu runs in turn, *: the fastest that found all\n\n", pairs,
               settings.request.tolerance, all[0].runs.size());
  std::fprintf(stderr, "%-*s passes  columns   seconds   ms/pass  besides s  ratio  residual       MB  pairs\n",
               name_width, "solver");
  for (const SolverFindings &found : all)
    if (!found.runs.empty()) print_row(found, fastest, pairs, name_width);
}

}  // namespace

void print_solvers(const Communicator &communicator, const DriverOptions &options, const EigenBenchSettings &settings,
                   std::span<const SolverFindings> all) {
  if (all[0].runs.empty()) return;
  const Backend &backend = find_backend(settings.op.backend);
  BenchLine common;
  common["program"] = "flashring-bench-eigen";
  describe_run(common, communicator, options, settings.op, backend);
  common["n"] = settings.shape.rows;
  common["d"] = settings.shape.features;
  common["alpha"] = settings.op.alpha;
  common["nev"] = settings.request.pairs;
  common["tolerance"] = settings.request.tolerance;
  const double fastest = fastest_seconds(all, settings.request.pairs);
  print_table(settings, communicator, backend, all);
  for (const SolverFindings &found : all)
    if (!found.runs.empty()) {
      const BenchLine line = line_of(common, found, fastest, settings.request.pairs);
      std::printf("%s\n", line.dump(-1, ' ', false, BenchLine::error_handler_t::replace).c_str());
    }
}

}  // namespace flashring
