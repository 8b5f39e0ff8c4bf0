#include <algorithm>
#include <cstdio>

#include "attention_run.hpp"
#include "flashring/attention_results.hpp"
#include "flashring/check.hpp"
#include "flashring/median.hpp"

namespace flashring {
namespace {

/// The arrays of a run, and this rank's part of every row: (axes before, local entries, axes after).
struct Scores {
  InputArray x, d_o;
  RowPartition entries;  ///< of a row over the ranks
  RowsShape shape;       ///< of this rank's part
  std::vector<std::byte> x_values, d_o_values, weights, d_x;
  std::vector<double> d_alpha;
};

Scores open_arrays(const Communicator &communicator, const AttentionSettings &settings) {
  const AttentionFiles &files = settings.files;
  Scores scores;
  InputArray &x = scores.x;
  communicator.agree([&] {
    FLASHRING_CHECK(files.backward == !files.d_o.empty(),
                    "-backward and -do FILE, the gradient of a loss with respect to the weights, go together; give "
                    "both or none");
  });
  x = open_scores("-scores", settings.scores, files.words, settings.dim, communicator);
  scores.entries = RowPartition::contiguous(x.axes[x.axis], communicator.size());
  scores.shape.n = scores.entries.local_rows(communicator.rank());
  for (std::size_t a = 0; a < x.axes.size(); ++a) {
    if (a < x.axis) scores.shape.outer *= x.axes[a];
    if (a > x.axis) scores.shape.inner *= x.axes[a];
  }
  if (!files.backward) return scores;
  scores.d_o = open_scores("-do", files.d_o, files.words, settings.dim, communicator);
  communicator.agree([&] {
    FLASHRING_CHECK(scores.d_o.axes == x.axes && scores.d_o.storage == x.storage, scores.d_o.place,
                    ": is not of the shape and type of ", x.place, "; give both alike");
  });
  return scores;
}

void read_arrays(const Communicator &communicator, Scores &scores, bool backward) {
  scores.x_values = read_rows(scores.x, scores.entries, true, communicator);
  scores.weights.resize(scores.x_values.size());
  if (!backward) return;
  scores.d_o_values = read_rows(scores.d_o, scores.entries, false, communicator);
  scores.d_x.resize(scores.x_values.size());
}

/// Heads are the third axis from the end, of rows along one of the last two; then comes one number for each.
bool has_heads(const InputArray &x) { return x.axes.size() >= 3 && x.axis + 2 >= x.axes.size(); }

ThresholdRowsOptions rows_options(const Communicator &communicator, const AttentionSettings &settings,
                                  const Scores &scores) {
  const InputArray &x = scores.x;
  ThresholdRowsOptions options = settings.rows;
  options.parameters = {default_parameter(options.op)};
  if (!settings.alpha.empty())
    options.parameters = read_alphas(settings.alpha, has_heads(x) ? x.from_end(3) : scores.shape.rows(),
                                     has_heads(x) ? "head" : "row", communicator);
  if (has_heads(x)) options.rows_per_group = x.from_end(2) * x.from_end(1) / x.axes[x.axis];
  options.monitor = !settings.monitor.empty();
  return options;
}

/// One rank has whole rows, several share each.
ThresholdRows make_rows(const Communicator &communicator, RowsShape shape, const ThresholdRowsOptions &options) {
  return communicator.size() > 1 ? ThresholdRows(communicator, shape, options) : ThresholdRows(shape, options);
}

RowsFacts compute(const Communicator &communicator, const AttentionSettings &settings, ThresholdRows &rows,
                  Scores &scores) {
  const Storage storage = scores.x.storage;
  RowsFacts facts{scores.x.axes, scores.x.axis, storage, settings.rows.op, {}, {}, {}};
  std::string lines;
  const auto monitor = [&](const char *call) {
    if (settings.monitor.empty()) return;
    lines += metrics_line(call, rows.metrics());
    write_monitor(communicator, settings.monitor, lines);
  };
  if (!settings.monitor.empty()) write_monitor(communicator, settings.monitor, lines);  // a bad path is said at once
  for (std::int64_t repeat = 0; repeat < settings.repeats; ++repeat) {
    double start = seconds_now();
    const ThresholdSaved saved = rows.forward(scores.x_values.data(), storage, scores.weights.data());
    facts.forward_seconds.push_back(communicator.max(seconds_now() - start));
    monitor("forward");
    if (!settings.files.backward) continue;
    start = seconds_now();
    scores.d_alpha = rows.backward(scores.x_values.data(), saved, scores.d_o_values.data(), storage, scores.d_x.data());
    facts.backward_seconds.push_back(communicator.max(seconds_now() - start));
    monitor("backward");
  }
  facts.metrics = rows.metrics();
  return facts;
}

std::vector<ResultArray> results_of(const Communicator &communicator, const Scores &scores,
                                    const ThresholdRowsOptions &options, bool backward) {
  const InputArray &x = scores.x;
  std::vector<ResultArray> results{{"o.npy", x.axes, x.axis, x.storage, scores.weights, scores.entries}};
  if (!backward) return results;
  results.push_back({"dx.npy", x.axes, x.axis, x.storage, scores.d_x, scores.entries});
  if (has_parameter(options.op)) results.push_back(common_array(communicator, "dalpha.npy", scores.d_alpha));
  return results;
}

void print_results(const Scores &scores, const ThresholdRowsOptions &options, const RowsFacts &facts) {
  std::printf("%s of %lld rows of %lld numbers in %s\n", options.op.c_str(),
              static_cast<long long>(scores.shape.rows()), static_cast<long long>(scores.entries.rows()),
              std::string(storage_name(facts.storage)).c_str());
  std::printf("forward: %.4g s (median of %zu); %d iterations, largest |sum - 1| %.2g\n",
              median_of(facts.forward_seconds), facts.forward_seconds.size(), facts.metrics.iterations,
              facts.metrics.sum_error);
  if (!facts.backward_seconds.empty()) std::printf("backward: %.4g s\n", median_of(facts.backward_seconds));
}

}  // namespace

int run_scores(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings) {
  const double start = seconds_now();
  const bool backward = settings.files.backward;
  Scores scores = open_arrays(communicator, settings);
  const ThresholdRowsOptions of_rows = rows_options(communicator, settings, scores);
  ThresholdRows rows = make_rows(communicator, scores.shape, of_rows);
  RunFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  const double setup_done = seconds_now();
  read_arrays(communicator, scores, backward);
  const double read_done = seconds_now();
  const RowsFacts facts = compute(communicator, settings, rows, scores);

  OperatorOptions resolved = settings.op;
  resolved.threads = rows.threads();
  resolved.backend = rows.backend();
  resolved.precision = scores.x.storage == Storage::fp64 ? Precision::fp64 : Precision::fp32;
  Report report = start_report(communicator, options, resolved);
  report.status = "complete";
  report.seconds_setup = setup_done - start;
  report.seconds_read = read_done - setup_done;
  report.seconds_solve = seconds_now() - read_done;
  report.seconds_total = seconds_now() - start;
  write_rows(communicator, folder, results_of(communicator, scores, of_rows, backward), facts, report);
  if (communicator.rank() == 0) {
    print_results(scores, of_rows, facts);
    print_written(folder.path());
  }
  return exit_converged;
}

}  // namespace flashring
