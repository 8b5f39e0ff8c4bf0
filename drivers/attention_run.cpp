#include "attention_run.hpp"

#include <cstdio>

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

Arrays read_arrays(const Communicator &communicator, const AttentionFiles &files, const AttentionSources &sources,
                   const Attention &attention) {
  Arrays arrays;
  arrays.storage = sources.q.storage;
  arrays.q = read_rows(sources.q, attention.query_partition(), false, communicator);
  arrays.k = read_rows(sources.k, attention.key_partition(), false, communicator);
  arrays.v = read_rows(sources.v, attention.key_partition(), false, communicator);
  arrays.key_padding = read_key_padding(files, sources.shape, attention.key_partition(), communicator);
  arrays.o.resize(arrays.q.size() / static_cast<std::size_t>(sources.shape.width) *
                  static_cast<std::size_t>(sources.shape.value_width));
  if (!files.backward) return arrays;
  arrays.d_o = read_rows(sources.d_o, attention.query_partition(), false, communicator);
  arrays.d_q.resize(arrays.q.size());
  arrays.d_k.resize(arrays.k.size());
  arrays.d_v.resize(arrays.v.size());
  return arrays;
}

/// Passes of one repeat, and what all of them did.
struct Work {
  int passes = 0;
  PassReport pass;
};

/// Forward, and backward where asked, as often as asked.
Work compute(const Communicator &communicator, const AttentionSettings &settings, Attention &attention, Arrays &arrays,
             AttentionFacts &facts) {
  const auto in = [&](const std::vector<std::byte> &data) { return ConstTensor{data.data(), arrays.storage}; };
  const auto out = [&](std::vector<std::byte> &data) { return Tensor{data.data(), arrays.storage}; };
  const AttentionInput input{in(arrays.q), in(arrays.k), in(arrays.v), arrays.key_padding};
  Work work;
  for (std::int64_t repeat = 0; repeat < settings.repeats; ++repeat) {
    double start = seconds_now();
    const AttentionSaved saved = attention.forward(input, out(arrays.o));
    facts.forward_seconds.push_back(communicator.max(seconds_now() - start));
    work.passes = attention.report().passes;
    work.pass += attention.report().pass;
    facts.threshold = attention.report();
    if (!settings.files.backward) continue;
    start = seconds_now();
    arrays.d_alpha = attention.backward(input, in(arrays.o), saved, in(arrays.d_o), out(arrays.d_q), out(arrays.d_k),
                                        out(arrays.d_v));
    facts.backward_seconds.push_back(communicator.max(seconds_now() - start));
    work.passes += attention.report().passes;
    work.pass += attention.report().pass;
  }
  return work;
}

/// Results in the axes of the files that they belong to.
std::vector<ResultArray> results_of(const Communicator &communicator, const AttentionSources &sources,
                                    const Attention &attention, const Arrays &arrays, bool backward) {
  const RowPartition &queries = attention.query_partition();
  const RowPartition &keys = attention.key_partition();
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
  OperatorOptions resolved = op;
  resolved.threads = attention.report().threads;
  resolved.backend = attention.report().backend;
  resolved.precision = attention.report().precision;
  resolved.exchange = "ring";
  Report report = start_report(communicator, options, resolved);
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

void print_results(const AttentionFacts &facts, const Report &report) {
  const AttentionShape &s = facts.shape;
  std::printf("attention: B %lld, H %d of %d, N %lld of %lld, D %d of %d in %s; %s (%s), %d ranks of %d threads\n",
              static_cast<long long>(s.batch), s.heads, s.key_heads, static_cast<long long>(s.queries),
              static_cast<long long>(s.keys), s.width, s.value_width, std::string(storage_name(facts.storage)).c_str(),
              report.backend.c_str(), report.target.c_str(), report.ranks, report.threads);
  if (facts.op != "softmax")
    std::printf("%s: %d passes, largest |sum - 1| %.2g, %.0f %% of the tile pairs visited\n", facts.op.c_str(),
                facts.threshold.passes, facts.threshold.sum_error, 100 * visited_share(facts.threshold));
  print_rate("forward", facts.forward_seconds, attention_flops(s, false));
  print_rate("backward", facts.backward_seconds, attention_flops(s, true));
}

}  // namespace

int run_attention(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings) {
  const double start = seconds_now();
  const AttentionSources sources = open_attention(settings.files, communicator);
  AttentionOptions how = settings.attention;
  if (!settings.alpha.empty()) how.alpha = read_alphas(settings.alpha, sources.shape.heads, "head", communicator);
  Attention attention(communicator, sources.shape, how);
  RunFolder folder(communicator, options.value("output"), options.flag("overwrite"));
  const double setup_done = seconds_now();
  Arrays arrays = read_arrays(communicator, settings.files, sources, attention);
  const double read_done = seconds_now();
  AttentionFacts facts{sources.shape,
                       arrays.storage,
                       how.op,
                       how.causal,
                       !settings.files.key_padding.empty() || !settings.files.lengths.empty(),
                       {},
                       {},
                       {}};
  const Work work = compute(communicator, settings, attention, arrays, facts);

  Report report = report_of(communicator, options, settings.op, attention, work);
  report.seconds_setup = setup_done - start;
  report.seconds_read = read_done - setup_done;
  report.seconds_solve = seconds_now() - read_done;
  report.seconds_total = seconds_now() - start;
  write_attention(communicator, folder, results_of(communicator, sources, attention, arrays, settings.files.backward),
                  facts, report);
  if (communicator.rank() == 0) {
    print_results(facts, report);
    print_written(folder.path());
  }
  return exit_converged;
}

}  // namespace flashring
