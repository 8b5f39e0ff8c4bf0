#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <optional>

#include "attention_run.hpp"
#include "flashring/attention_results.hpp"
#include "flashring/check.hpp"
#include "flashring/median.hpp"

namespace flashring {
namespace {

/// The arrays of a run, and this rank's part of them. Rows lie along axis `dim`. Axis `x.axis` is spread over ranks:
/// another one, so that each has whole rows, or `dim` itself, of which each then has a part.
struct Scores {
  InputArray x, d_o;
  std::size_t dim = 0;
  RowPartition entries;             ///< of the axis that is spread
  std::vector<std::int64_t> local;  ///< axes of this rank's part
  std::vector<std::byte> x_values, d_o_values, weights, d_x;
  std::vector<double> d_alpha;
  bool whole() const { return x.axis != dim; }
  RowsShape shape() const {
    RowsShape part{1, local[dim], 1};
    for (std::size_t a = 0; a < local.size(); ++a)
      if (a != dim) (a < dim ? part.outer : part.inner) *= local[a];
    return part;
  }
};

/// The longest of the other axes, where every rank gets some of it: whole rows need no messages.
std::size_t choose_axis(const InputArray &x, int ranks) {
  std::size_t axis = x.axis;
  std::int64_t longest = ranks - 1;
  for (std::size_t a = 0; a < x.axes.size(); ++a)
    if (a != x.axis && x.axes[a] > longest) {
      axis = a;
      longest = x.axes[a];
    }
  return axis;
}

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
  scores.dim = x.axis;
  x.axis = choose_axis(x, communicator.size());
  scores.entries = RowPartition::contiguous(x.axes[x.axis], communicator.size());
  scores.local = x.axes;
  scores.local[x.axis] = scores.entries.local_rows(communicator.rank());
  if (!files.backward) return scores;
  scores.d_o = open_scores("-do", files.d_o, files.words, settings.dim, communicator);
  scores.d_o.axis = x.axis;
  communicator.agree([&] {
    FLASHRING_CHECK(scores.d_o.axes == x.axes && scores.d_o.storage == x.storage, scores.d_o.place, ": has shape ",
                    scores.d_o.shape_and_type(), ", and ", x.place, " ", x.shape_and_type(), "; give both alike");
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

/// The numbers of -alpha of all rows, and which of them this rank's rows have.
struct Alphas {
  std::vector<double> all;
  std::vector<std::int64_t> mine;  ///< places in `all`
  std::int64_t per_group = 1;      ///< rows after each other of this rank that have one number
};

/// Heads are the third axis from the end, of rows along one of the last two; each may have its number.
bool has_heads(const Scores &scores) { return scores.x.axes.size() >= 3 && scores.dim + 2 >= scores.x.axes.size(); }

/// Places of the numbers, an array over the axes `of`, of which axis `x.axis` may be spread over ranks.
std::vector<std::int64_t> places_of(const Scores &scores, const std::vector<std::size_t> &of, int rank) {
  std::vector<std::int64_t> places{0};
  for (const std::size_t a : of) {
    std::vector<std::int64_t> next;
    for (const std::int64_t place : places)
      for (std::int64_t i = 0; i < scores.local[a]; ++i)
        next.push_back(place * scores.x.axes[a] +
                       (a == scores.x.axis ? scores.entries.global_row(rank, LocalRow{i}).value : i));
    places = std::move(next);
  }
  return places;
}

Alphas read_alphas_of(const Communicator &communicator, const AttentionSettings &settings, const Scores &scores) {
  const ThresholdRowsOptions &how = settings.rows;
  Alphas alphas{{default_parameter(how.op)}, {0}};
  if (settings.alpha.empty()) return alphas;
  const std::vector<std::int64_t> &axes = scores.x.axes;
  const std::int64_t rows =
      std::accumulate(axes.begin(), axes.end(), std::int64_t{1}, std::multiplies<>()) / axes[scores.dim];
  const bool of_rows = !has_heads(scores) || count_alphas(settings.alpha, communicator) == rows;
  const char *each = of_rows ? "row" : "head";
  alphas.all = read_alphas(settings.alpha, of_rows ? rows : axes[axes.size() - 3], each, communicator);
  communicator.agree([&] {
    threshold_families(how.op, alphas.all, how.complements, how.family_scale, detail::concatenate("-alpha: ", each));
    if (alphas.all.size() == 1) return;
    std::vector<std::size_t> of;
    for (std::size_t a = 0; a < axes.size(); ++a)
      if (of_rows ? a != scores.dim : a + 3 == axes.size()) of.push_back(a);
    alphas.mine = places_of(scores, of, communicator.rank());
    if (!of_rows) alphas.per_group = scores.local[axes.size() - (scores.dim + 1 == axes.size() ? 2 : 1)];
  });
  return alphas;
}

ThresholdRowsOptions rows_options(const AttentionSettings &settings, const Alphas &alphas) {
  ThresholdRowsOptions options = settings.rows;
  options.parameters.clear();
  for (const std::int64_t place : alphas.mine)
    options.parameters.push_back(alphas.all[static_cast<std::size_t>(place)]);
  options.rows_per_group = alphas.per_group;
  options.monitor = !settings.monitor.empty();
  return options;
}

/// Rows of this rank, or of all that share them.
ThresholdRows make_rows(const Communicator &communicator, const Scores &scores, const ThresholdRowsOptions &options) {
  if (!scores.whole()) return {communicator, scores.shape(), options};
  std::optional<ThresholdRows> rows;
  communicator.agree([&] { rows.emplace(scores.shape(), options); });
  return std::move(*rows);
}

/// Sums over the ranks' rows, at their places.
std::vector<double> gather_gradients(const Communicator &communicator, const Scores &scores, const Alphas &alphas,
                                     const std::vector<double> &mine) {
  if (!scores.whole() || mine.empty()) return mine;
  std::vector<double> all(alphas.all.size());
  for (std::size_t n = 0; n < mine.size(); ++n) all[static_cast<std::size_t>(alphas.mine[n])] += mine[n];
  communicator.sum(std::span<double>(all));
  return all;
}

/// Of all rows.
ThresholdMetrics metrics_of(const Communicator &communicator, const ThresholdRowsOptions &options, const Scores &scores,
                            const Alphas &alphas, const ThresholdRows &rows) {
  if (!scores.whole()) return rows.metrics();
  ThresholdMetrics metrics = join_metrics(communicator, rows.metrics());
  if (!std::isnan(metrics.alpha_min))
    metrics.set_alphas(threshold_parameters(options.op, alphas.all, options.complements));
  if (!std::isnan(metrics.parameter_gradient_norm))  // which is this rank's
    metrics.parameter_gradient_norm =
        std::sqrt(std::inner_product(scores.d_alpha.begin(), scores.d_alpha.end(), scores.d_alpha.begin(), 0.0));
  return metrics;
}

RowsFacts compute(const Communicator &communicator, const AttentionSettings &settings, const Alphas &alphas,
                  ThresholdRows &rows, Scores &scores) {
  const Storage storage = scores.x.storage;
  const void *x = scores.x_values.data();
  RowsFacts facts{scores.x.axes, scores.dim, storage, settings.rows.op, {}, {}, {}};
  CallMonitor monitor(communicator, settings.monitor);
  const auto tell = [&](const char *call) {
    facts.metrics = metrics_of(communicator, settings.rows, scores, alphas, rows);
    if (monitor.active()) monitor.add(metrics_line(call, facts.metrics));
  };
  for (std::int64_t repeat = 0; repeat < settings.repeats; ++repeat) {
    double start = seconds_now();
    ThresholdSaved saved;
    communicator.agree([&] { saved = rows.forward(x, storage, scores.weights.data()); });
    facts.forward_seconds.push_back(communicator.max(seconds_now() - start));
    tell("forward");
    if (!settings.files.backward) continue;
    start = seconds_now();
    std::vector<double> mine;
    communicator.agree([&] { mine = rows.backward(x, saved, scores.d_o_values.data(), storage, scores.d_x.data()); });
    scores.d_alpha = gather_gradients(communicator, scores, alphas, mine);
    facts.backward_seconds.push_back(communicator.max(seconds_now() - start));
    tell("backward");
  }
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

void print_results(const Communicator &communicator, const Scores &scores, const RowsFacts &facts) {
  const std::vector<std::int64_t> &axes = scores.x.axes;
  const std::int64_t all = std::accumulate(axes.begin(), axes.end(), std::int64_t{1}, std::multiplies<>());
  const std::int64_t n = axes[scores.dim];
  std::printf("%s of %lld rows of %lld numbers in %s\n", facts.op.c_str(), static_cast<long long>(all / n),
              static_cast<long long>(n), std::string(storage_name(facts.storage)).c_str());
  if (communicator.size() > 1)
    std::printf(scores.whole() ? "every rank has whole rows: axis %zu is spread over ranks\n"
                               : "every rank has a part of each row: axis %zu is spread over ranks\n",
                scores.x.axis);
  std::printf("forward: %.4g s (median of %zu); %d iterations, largest |sum - 1| %.2g\n",
              median_of(facts.forward_seconds), facts.forward_seconds.size(), facts.metrics.iterations,
              facts.metrics.sum_error);
  if (!facts.backward_seconds.empty()) std::printf("backward: %.4g s\n", median_of(facts.backward_seconds));
}

/// What the run takes of memory and time, printed.
int dry_run(const Communicator &communicator, const Scores &scores, const ThresholdRowsOptions &options,
            const RunPlan &plan, bool backward) {
  const RowsCost cost = measure_rows(communicator, scores.shape(), options, scores.x.storage, backward);
  if (communicator.rank() != 0) return exit_converged;
  std::printf("%sforward: about %.3g s\n", memory_text(plan).c_str(), cost.forward_seconds);
  if (backward) std::printf("backward: about %.3g s\n", cost.backward_seconds);
  return exit_converged;
}

Report report_of(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings,
                 const ThresholdRows &rows, Storage storage) {
  OperatorOptions resolved = settings.op;
  resolved.threads = rows.threads();
  resolved.precision = storage == Storage::fp64 ? Precision::fp64 : Precision::fp32;
  Report report = start_report(communicator, options, resolved);
  report.backend = rows.backend();
  report.target = rows.target();
  report.status = "complete";
  return report;
}

}  // namespace

int run_scores(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings) {
  const double start = seconds_now();
  const bool backward = settings.files.backward;
  Scores scores = open_arrays(communicator, settings);
  const Alphas alphas = read_alphas_of(communicator, settings, scores);
  ThresholdRowsOptions of_rows = rows_options(settings, alphas);
  const RunPlan plan = plan_rows(communicator, scores.shape(), of_rows, scores.x.storage, backward, !scores.whole());
  of_rows.threads = plan.threads;
  ThresholdRows rows = make_rows(communicator, scores, of_rows);
  if (options.flag("dry_run")) return dry_run(communicator, scores, of_rows, plan, backward);
  communicator.agree([&] { plan.check_room(); });
  RunFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  const double setup_done = seconds_now();
  read_arrays(communicator, scores, backward);
  const double read_done = seconds_now();
  const RowsFacts facts = compute(communicator, settings, alphas, rows, scores);

  Report report = report_of(communicator, options, settings, rows, scores.x.storage);
  report.device_copy_bytes = communicator.sum(rows.bytes_copied());
  report.seconds_setup = setup_done - start;
  report.seconds_read = read_done - setup_done;
  report.seconds_solve = seconds_now() - read_done;
  report.seconds_total = seconds_now() - start;
  write_rows(communicator, folder, results_of(communicator, scores, of_rows, backward), facts, report);
  if (communicator.rank() == 0) {
    print_results(communicator, scores, facts);
    print_written(folder.path());
  }
  return exit_converged;
}

}  // namespace flashring
