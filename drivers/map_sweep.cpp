// A sweep of flashring-diffmap: one map after the other, each in its own folder and from the one before it, and a
// record of all that is whole at any moment.
#include <algorithm>
#include <cstdio>

#include "flashring/block_krylov_schur.h"
#include "flashring/check.hpp"
#include "flashring/sweep_folder.hpp"
#include "flashring/version.hpp"
#include "map_run.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

class MapSweep {
 public:
  MapSweep(const Communicator &communicator, const DriverOptions &options, const MapSettings &settings)
      : communicator_(communicator),
        options_(options),
        settings_(settings),
        folder_(communicator, options.value("output"), settings.sweep, options.flag("overwrite")),
        labels_(map_labels(communicator, options, settings.shape.rows)) {
    table_.shape = settings.shape;
    table_.report.version = version();
    table_.report.git = git_commit();
    table_.report.ranks = communicator.size();
    for (const auto &option : options.provenance(settings.op))
      if (option.first != "alpha" || settings.sweep.front().alpha.empty()) table_.report.options.push_back(option);
    for (const SweepPoint &point : settings.sweep) {
      table_.outcomes.push_back({point, {}, {}, {}});
      width_ = std::max(width_, static_cast<int>(point.folder.size()));
    }
  }

  int run() {
    if (first()) std::printf("\n%-*s  pairs  start           seconds  lambda_1      residual  passes\n", width_, "map");
    record("running");
    for (SweepOutcome &outcome : table_.outcomes) {
      if (communicator_.max(StopSignals::asked() ? 1.0 : 0.0) > 0) code_ = exit_interrupted;
      if (code_ == exit_interrupted) break;
      run_map(outcome);
      if (first()) print(outcome);
      record("running");
    }
    const std::string finding = record(code_ == exit_interrupted ? "interrupted by the user" : "complete");
    if (first()) print_end(finding);
    return code_;
  }

 private:
  bool first() const { return communicator_.rank() == 0; }

  std::string record(const std::string &status) {
    table_.report.status = status;
    table_.report.seconds_total = seconds_now() - start_;
    return folder_.write(table_);
  }

  /// An Error ends the sweep, and stands in the record where every rank knows of it.
  void run_map(SweepOutcome &outcome) {
    try {
      solve_and_write(outcome);
    } catch (const Interrupted &interrupted) {  // before one pair had converged
      outcome.report.status = interrupted.what();
      code_ = exit_interrupted;
    } catch (const Error &error) {
      outcome.report.status = detail::concatenate("error: ", error.what());
      if (error.common()) record(outcome.report.status);
      throw;
    }
  }

  void solve_and_write(SweepOutcome &outcome) {
    const double start = seconds_now();
    const SweepPoint &point = outcome.point;
    MapSettings settings = settings_;
    if (!point.beta.empty()) settings.op.set("beta", point.beta);
    if (!point.alpha.empty()) settings.op.set("alpha", point.alpha);
    settings_.request.eigen.restart.clear();  // that of the first map
    DriverOptions options = options_;         // the command line of this map alone
    options.use("beta_list", "");
    options.use("alpha_list", "");
    options.use("output", folder_.path_of(point));
    OutputFolder folder(communicator_, folder_.path_of(point), options.flag("overwrite"));
    auto [map, report] = solve_map(communicator_, options, settings, folder, &neighbour_);
    folder.write(map.results, report, labels_);
    outcome.report = report;
    outcome.report.seconds_total = seconds_now() - start;
    outcome.report.seconds_write = outcome.report.seconds_total - report.seconds_total;
    outcome.eigenvalues = map.results.eigenvalues;
    outcome.residuals = map.results.residuals;
    code_ = std::max(code_, exit_code(map));
    if (map.solver == EPSBLOCKKRYLOVSCHUR) neighbour_.remember(std::move(map.results.right), map.results.pairs);
  }

  void print(const SweepOutcome &outcome) const {
    const Report &report = outcome.report;
    if (outcome.eigenvalues.empty()) {
      std::printf("%-*s  %s\n", width_, outcome.point.folder.c_str(), report.status.c_str());
      return;
    }
    const double residual = *std::max_element(outcome.residuals.begin(), outcome.residuals.end());
    std::printf("%-*s  %5zu  %-14s  %7.3g  %.10f  %.2e  %s%s%s\n", width_, outcome.point.folder.c_str(),
                outcome.eigenvalues.size(), report.start.c_str(), report.seconds_total,
                outcome.eigenvalues[outcome.eigenvalues.size() > 1 ? 1 : 0], residual, passes_text(report).c_str(),
                report.status == "converged" ? "" : "; ", report.status == "converged" ? "" : report.status.c_str());
    std::fflush(stdout);
  }

  void print_end(const std::string &finding) const {
    std::string left;
    for (const SweepOutcome &outcome : table_.outcomes)
      if (outcome.report.status.empty()) left += (left.empty() ? "" : ", ") + outcome.point.folder;
    if (!left.empty()) std::printf("interrupted by the user; not run: %s\n", left.c_str());
    if (!finding.empty()) std::printf("note: pictures: %s\n", finding.c_str());
    std::printf("\n%.3g s; written to %s/: a folder for each map, sweep.json%s\n", table_.report.seconds_total,
                folder_.path().c_str(), finding.empty() ? " and sweep.png" : "");
  }

  const Communicator &communicator_;
  const DriverOptions &options_;
  MapSettings settings_;
  SweepFolder folder_;
  std::vector<std::string> labels_;
  SweepTable table_;
  Neighbour neighbour_;
  double start_ = seconds_now();
  int width_ = 3;
  int code_ = exit_converged;
};

}  // namespace

int run_sweep(const Communicator &communicator, const DriverOptions &options, const MapSettings &settings) {
  return MapSweep(communicator, options, settings).run();
}

}  // namespace flashring
