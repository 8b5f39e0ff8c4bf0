#include "attention_run.hpp"

#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <numeric>

#include "flashring/attention_results.hpp"
#include "flashring/median.hpp"

namespace flashring {
namespace {

/// Arrays of this rank, (B, H, local rows, width) each.
struct Arrays {
  Storage storage = Storage::fp32;
  std::vector<std::byte> q, k, v, d_o, o, d_q, d_k, d_v;
  std::vector<double> d_alpha;
  std::vector<std::uint8_t> key_padding;
};

/// The axis of the array that is spread over ranks is that of its rows.
void spread_rows(const Spread &spread, AttentionSources &sources) {
  for (InputArray *array : {&sources.q, &sources.k, &sources.v, &sources.d_o})
    if (!array->axes.empty()) array->axis = array->axes.size() - spread.from_end;
}

Arrays read_arrays(const Communicator &communicator, const AttentionFiles &files, const AttentionSources &sources,
                   const Spread &spread) {
  Arrays arrays;
  arrays.storage = sources.q.storage;
  arrays.q = read_rows(sources.q, spread.queries, false, communicator);
  arrays.k = read_rows(sources.k, spread.keys, false, communicator);
  arrays.v = read_rows(sources.v, spread.keys, false, communicator);
  arrays.key_padding = local_padding(communicator, files, sources.shape, spread);
  arrays.o.resize(arrays.q.size() / static_cast<std::size_t>(sources.shape.width) *
                  static_cast<std::size_t>(sources.shape.value_width));
  if (!files.backward) return arrays;
  arrays.d_o = read_rows(sources.d_o, spread.queries, false, communicator);
  arrays.d_q.resize(arrays.q.size());
  arrays.d_k.resize(arrays.k.size());
  arrays.d_v.resize(arrays.v.size());
  return arrays;
}

/// Attention over the tokens of all ranks, or over the whole sequences of this one.
struct Sequenced {
  Sequenced(const Communicator &communicator, const AttentionSettings &settings, const AttentionOptions &how,
            const AttentionShape &shape)
      : attention(std::make_unique<Attention>(communicator, shape, how)),
        spread(spread_over(communicator, settings.split, how.backend, *attention)) {
    if (!spread.whole()) return;
    AttentionOptions of_heads = how;
    of_heads.alpha = local_alphas(spread, how.alpha);
    of_heads.first_batch = spread.first_batch;
    of_heads.first_head = spread.first_head;
    of_heads.threads = attention->report().threads;
    of_heads.transport = "auto";
    communicator.agree([&] { attention = std::make_unique<Attention>(*alone, spread.local, of_heads); });
  }
  std::unique_ptr<Communicator> alone = make_self_communicator();
  std::unique_ptr<Attention> attention;
  Spread spread;
};

/// Ranks with whole sequences share the memory of a machine, too.
RunPlan plan_of(const Communicator &communicator, const Sequenced &of_rank, Storage storage, bool backward) {
  RunPlan plan;
  communicator.agree([&] { plan = of_rank.attention->plan(storage, backward); });
  if (!of_rank.spread.whole()) return plan;
  plan.ranks = communicator.size();
  plan.room = memory_room(communicator);
  plan.exchange = {"none", "every rank has whole sequences"};
  return plan;
}

/// Passes of one repeat, and what all of them did.
struct Work {
  int passes = 0;
  PassReport pass;
};

/// Forward, and backward where asked, as often as asked. `how`: of all heads.
Work compute(const Communicator &communicator, const AttentionSettings &settings, const AttentionOptions &how,
             const Spread &spread, Attention &attention, Arrays &arrays, AttentionFacts &facts) {
  const auto tensor = [&](std::vector<std::byte> &data) { return Tensor{data.data(), arrays.storage}; };
  const AttentionInput input{tensor(arrays.q), tensor(arrays.k), tensor(arrays.v), arrays.key_padding};
  Work work;
  const auto timed = [&](std::vector<double> &seconds, const std::function<void()> &call) {
    const double start = seconds_now();
    communicator.agree([&] { call_named(spread, call); });
    seconds.push_back(communicator.max(seconds_now() - start));
    work.pass += attention.report().pass;
    return common_report(communicator, spread, attention.report());
  };
  CallMonitor monitor(communicator, settings.monitor);
  for (std::int64_t repeat = 0; repeat < settings.repeats; ++repeat) {
    AttentionSaved saved;
    facts.forward = timed(facts.forward_seconds, [&] { saved = attention.forward(input, tensor(arrays.o)); });
    work.passes = facts.forward.passes;
    ThresholdMetrics metrics;
    if (monitor.active()) {
      metrics = tile_metrics(communicator, how, saved, facts.forward);
      monitor.add(metrics_line("forward", metrics, facts.forward));
    }
    if (!settings.files.backward) continue;
    facts.backward = timed(facts.backward_seconds, [&] {
      arrays.d_alpha = attention.backward(input, tensor(arrays.o), saved, tensor(arrays.d_o), tensor(arrays.d_q),
                                          tensor(arrays.d_k), tensor(arrays.d_v));
    });
    work.passes += facts.backward.passes;
    arrays.d_alpha = gather_alphas(communicator, spread, how.alpha.size(), arrays.d_alpha);
    if (!monitor.active()) continue;
    metrics.gradient_norm = common_norm(communicator, arrays.storage, {&arrays.d_q, &arrays.d_k, &arrays.d_v});
    metrics.parameter_gradient_norm =
        std::sqrt(std::inner_product(arrays.d_alpha.begin(), arrays.d_alpha.end(), arrays.d_alpha.begin(), 0.0));
    monitor.add(metrics_line("backward", metrics, facts.backward));
  }
  return work;
}

/// Results in the axes of the files that they belong to.
std::vector<ResultArray> results_of(const Communicator &communicator, const AttentionSources &sources,
                                    const Spread &spread, const Arrays &arrays, bool backward) {
  const RowPartition &queries = spread.queries;
  const RowPartition &keys = spread.keys;
  const Storage storage = arrays.storage;
  std::vector<std::int64_t> outputs = sources.q.axes;
  outputs.back() = sources.shape.value_width;
  std::vector<ResultArray> results{{"o.npy", outputs, sources.q.axis, storage, arrays.o, queries}};
  if (!backward) return results;
  results.push_back({"dq.npy", sources.q.axes, sources.q.axis, storage, arrays.d_q, queries});
  results.push_back({"dk.npy", sources.k.axes, sources.k.axis, storage, arrays.d_k, keys});
  results.push_back({"dv.npy", sources.v.axes, sources.v.axis, storage, arrays.d_v, keys});
  if (!arrays.d_alpha.empty()) results.push_back(common_array(communicator, "dalpha.npy", arrays.d_alpha));
  return results;
}

Report report_of(const Communicator &communicator, const DriverOptions &options, const OperatorOptions &op,
                 const Attention &attention, const Work &work) {
  const AttentionReport &last = attention.report();
  OperatorOptions resolved = op;
  resolved.threads = last.threads;
  resolved.precision = last.precision;
  resolved.exchange = "ring";
  Report report = start_report(communicator, options, resolved);
  report.backend = last.backend;
  report.target = last.target;
  const double seconds = std::max(1e-12, communicator.max(work.pass.seconds));
  report.status = "complete";
  report.passes = work.passes;
  report.evaluated_pairs_per_second = communicator.sum(work.pass.pairs) / seconds;
  report.ring_wait_fraction = communicator.max(work.pass.wait_seconds) / seconds;
  report.device_copy_bytes = communicator.sum(work.pass.bytes_copied);
  return report;
}

void print_rate(const char *what, const std::vector<double> &seconds, double flops) {
  if (seconds.empty()) return;
  const double median = std::max(1e-12, median_of(seconds));
  std::printf("%s: %.4g s, %.2f GFLOP/s (median of %zu)\n", what, median, 1e-9 * flops / median, seconds.size());
}

void print_results(const AttentionFacts &facts, const Spread &spread, const Report &report) {
  const AttentionShape &s = facts.shape;
  std::printf("attention: B %lld, H %d of %d, N %lld of %lld, D %d of %d in %s; %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(s.batch), s.heads, s.key_heads, static_cast<long long>(s.queries),
              static_cast<long long>(s.keys), s.width, s.value_width, std::string(storage_name(facts.storage)).c_str(),
              report.backend.c_str(), report.target.c_str(), report.ranks, report.threads);
  if (report.ranks > 1)
    std::printf("%s\n", !spread.whole()        ? "tokens of every sequence are spread over ranks"
                        : spread.from_end == 3 ? "every rank has whole sequences: heads are spread over ranks"
                                               : "every rank has whole sequences: the batch is spread over ranks");
  if (facts.op != "softmax")
    std::printf("%s: %d passes, largest |sum - 1| %.2g, %.0f %% of the tile pairs visited\n", facts.op.c_str(),
                facts.forward.passes, facts.forward.sum_error, 100 * visited_share(facts.forward));
  print_rate("forward", facts.forward_seconds, attention_flops(s, false));
  print_rate("backward", facts.backward_seconds, attention_flops(s, true));
}

void print_cost(const char *call, int passes, double seconds) {
  std::printf("%s: %d %s, about %.3g s\n", call, passes, passes == 1 ? "pass" : "passes", seconds);
}

/// What the run takes of memory and time, printed.
int dry_run(const Communicator &communicator, const AttentionOptions &how, const RunPlan &plan,
            const AttentionSources &sources, bool backward) {
  const AttentionCost cost = measure_attention(communicator, sources.shape, how, sources.q.storage, backward);
  if (communicator.rank() != 0) return exit_converged;
  std::fputs(memory_text(plan).c_str(), stdout);
  print_cost("forward", cost.forward_passes, cost.forward_seconds);
  if (backward) print_cost("backward", cost.backward_passes, cost.backward_seconds);
  return exit_converged;
}

}  // namespace

int run_attention(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings) {
  const double start = seconds_now();
  const bool backward = settings.files.backward;
  AttentionSources sources = open_attention(settings.files, communicator);
  AttentionOptions how = settings.attention;
  if (!settings.alpha.empty()) how.alpha = read_alphas(settings.alpha, sources.shape.heads, "head", communicator);
  const Sequenced of_rank(communicator, settings, how, sources.shape);
  Attention &attention = *of_rank.attention;
  const RunPlan plan = plan_of(communicator, of_rank, sources.q.storage, backward);
  if (options.flag("dry_run")) return dry_run(communicator, how, plan, sources, backward);
  communicator.agree([&] { plan.check_room(); });
  RunFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  const double setup_done = seconds_now();
  spread_rows(of_rank.spread, sources);
  Arrays arrays = read_arrays(communicator, settings.files, sources, of_rank.spread);
  const double read_done = seconds_now();
  AttentionFacts facts{sources.shape,
                       arrays.storage,
                       how.op,
                       how.causal,
                       !settings.files.key_padding.empty() || !settings.files.lengths.empty(),
                       {},
                       {},
                       {}};
  const Work work = compute(communicator, settings, how, of_rank.spread, attention, arrays, facts);

  Report report = report_of(communicator, options, settings.op, attention, work);
  report.seconds_setup = setup_done - start;
  report.seconds_read = read_done - setup_done;
  report.seconds_solve = seconds_now() - read_done;
  report.seconds_total = seconds_now() - start;
  write_attention(communicator, folder, results_of(communicator, sources, of_rank.spread, arrays, backward), facts,
                  report);
  if (communicator.rank() == 0) {
    print_results(facts, of_rank.spread, report);
    print_written(folder.path());
  }
  return exit_converged;
}

}  // namespace flashring
