#include "io/report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flashring/median.hpp"
#include "flashring/options.hpp"

namespace flashring {
namespace {

using Json = nlohmann::ordered_json;

Json seconds_of(const Report &report) {
  return {{"read", report.seconds_read},
          {"setup", report.seconds_setup},
          {"solve", report.seconds_solve},
          {"write", report.seconds_write},
          {"total", report.seconds_total}};
}

Json passes_of(const Report &report) {
  Json passes = Json::object();
  for (const auto &[precision, count] : report.passes_in) passes[precision] = count;
  return passes;
}

Json options_of(const Report &report) {
  Json options = Json::object();
  for (const auto &[name, value] : report.options) options[name] = value;
  return options;
}

/// Whole numbers, so that no reader sees 1.2e9 bytes.
Json bytes_of(const Report &report) {
  Json bytes = Json::array();
  for (const double value : report.peak_bytes_per_rank) bytes.push_back(static_cast<std::int64_t>(value));
  return bytes;
}

bool is_plain(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || std::string_view("_-+./:,=@%").find(c) != std::string_view::npos;
}

/// A word that a POSIX shell reads back unchanged.
std::string quote(const std::string &text) {
  bool plain = !text.empty();
  for (const char c : text) plain = plain && is_plain(c);
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

/// Paths may hold bytes that are not UTF-8: replaced rather than refused at the end of a long run.
std::string text_of(const Json &json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

void add_passes(Json &json, const Report &report) {
  json["passes"] = report.passes;
  json["passes_in"] = passes_of(report);
  json["column_passes"] = report.column_passes;
  json["neighbour_passes"] = report.neighbour_passes;
}

Json outcome_json(const SweepOutcome &outcome) {
  const Report &report = outcome.report;
  Json json;
  if (!outcome.point.beta.empty()) json["beta"] = parse_real("beta", outcome.point.beta);
  if (!outcome.point.alpha.empty()) json["alpha"] = parse_real("alpha", outcome.point.alpha);
  json["folder"] = outcome.point.folder;
  json["status"] = report.status.empty() ? "not run" : report.status;
  if (report.pair.empty()) return json;
  json["pair"] = report.pair;
  json["start"] = report.start;
  add_passes(json, report);
  json["landmark_pairs"] = static_cast<std::int64_t>(report.landmark_pairs);
  json["seconds"] = seconds_of(report);
  json["eigenvalues"] = outcome.eigenvalues;
  json["residuals"] = outcome.residuals;
  return json;
}

/// What ran, and how.
Json run_of(const Report &report) {
  Json json;
  json["version"] = report.version;
  json["git"] = report.git;
  json["status"] = report.status;
  json["options"] = options_of(report);
  json["ranks"] = report.ranks;
  json["threads"] = report.threads;
  json["backend"] = report.backend;
  json["target"] = report.target;
  json["precision"] = report.precision;
  json["exchange"] = report.exchange;
  json["pair"] = report.pair;
  return json;
}

/// Seconds of a pass forward or backward, and what they are in floating-point operations.
/// Calls forward or backward, the last of which said `call`.
Json rate_of(const AttentionShape &shape, const std::vector<double> &seconds, const AttentionReport &call,
             bool backward) {
  const double median = median_of(seconds);
  return {{"seconds", median},
          {"gflops", 1e-9 * attention_flops(shape, backward) / std::max(1e-12, median)},
          {"passes", call.passes},
          {"tiles_visited", call.tiles_visited},
          {"tiles_skipped", call.tiles_skipped}};
}

Json curve_of(const std::vector<SlopePoint> &points) {
  Json curve = {{"beta", Json::array()}, {"slope", Json::array()}};
  for (const SlopePoint &point : points) {
    curve["beta"].push_back(point.beta);
    curve["slope"].push_back(point.slope);
  }
  return curve;
}

/// How the length scale was found; with a curve, what it says.
Json bandwidth_of(const Bandwidth &bandwidth) {
  Json json = {{"rule", bandwidth.rule}, {"reason", bandwidth.reason}};
  const SlopeCurve &curve = bandwidth.curve;
  if (curve.points.empty()) return json;
  json["beta"] = curve.beta;
  json["largest_slope"] = curve.maximum;
  json["dimension"] = curve.dimension();
  json["at_edge"] = curve.at_edge;
  json["curve"] = curve_of(curve.points);
  json["sampled"] = curve_of(curve.sampled);
  return json;
}

Json metrics_of(const ThresholdMetrics &metrics) {
  return {{"rows", metrics.rows},
          {"iterations", metrics.iterations},
          {"largest_step", metrics.largest_step},
          {"sum_error", metrics.sum_error},
          {"mean_support", metrics.mean_support},
          {"zeros", metrics.zeros},
          {"mean_entropy", metrics.mean_entropy},
          {"alpha", {{"min", metrics.alpha_min}, {"mean", metrics.alpha_mean}, {"max", metrics.alpha_max}}},
          {"gradient_norm", metrics.gradient_norm},
          {"alpha_gradient_norm", metrics.parameter_gradient_norm}};
}

/// What it took, beside passes.
void add_costs(Json &json, const Report &report) {
  json["ring_wait_fraction"] = report.ring_wait_fraction;
  json["device_copy_bytes"] = report.device_copy_bytes;
  json["seconds"] = seconds_of(report);
  json["peak_bytes_per_rank"] = bytes_of(report);
}

}  // namespace

std::string report_json(const Results &results, const Report &report, const std::vector<std::string> &findings) {
  Json json = run_of(report);
  json["N"] = results.rows;
  json["d"] = results.features;
  json["bandwidth"] = bandwidth_of(report.bandwidth);
  json["calls"] = report.calls;
  add_passes(json, report);
  json["all_runs"] = {{"passes", report.all_passes}, {"pass_seconds", report.all_seconds}};
  json["start"] = report.start;
  json["landmark_pairs"] = static_cast<std::int64_t>(report.landmark_pairs);
  json["pairs_per_second"] = report.pairs_per_second;
  json["evaluated_pairs_per_second"] = report.evaluated_pairs_per_second;
  add_costs(json, report);
  json["eigenvalues"] = results.eigenvalues;
  json["residuals"] = results.residuals;
  json["residual_over_gap"] = results.residual_over_gap;
  json["diagnoses"] = results.diagnoses;
  for (const std::string &finding : findings) json["diagnoses"].push_back(finding);
  return text_of(json);
}

std::string sweep_json(const SweepTable &table) {
  Json json;
  json["version"] = table.report.version;
  json["git"] = table.report.git;
  json["status"] = table.report.status;
  json["options"] = options_of(table.report);
  json["ranks"] = table.report.ranks;
  json["N"] = table.shape.rows;
  json["d"] = table.shape.features;
  json["seconds"] = table.report.seconds_total;
  json["maps"] = Json::array();
  for (const SweepOutcome &outcome : table.outcomes) json["maps"].push_back(outcome_json(outcome));
  return text_of(json);
}

std::string extension_json(const Results &map, const Report &report, const ExtensionCounts &counts,
                           const std::vector<std::string> &findings) {
  Json json = run_of(report);
  json["N"] = map.rows;
  json["d"] = map.features;
  json["M"] = counts.points;
  json["extended"] = counts.extended;
  json["far"] = counts.far;
  json["passes"] = report.passes;
  json["neighbour_passes"] = report.neighbour_passes;
  json["pairs_per_second"] = report.pairs_per_second;
  add_costs(json, report);
  json["eigenvalues"] = map.eigenvalues;
  json["residuals"] = map.residuals;
  json["diagnoses"] = findings;
  return text_of(json);
}

std::string neighbours_json(const Report &report, const NeighbourFacts &facts,
                            const std::vector<std::string> &findings) {
  Json json = run_of(report);
  json.erase("pair");  // there is none
  json["N"] = facts.points.rows;
  json["d"] = facts.points.features;
  if (facts.queries) json["M"] = facts.summary.rows;
  json["k"] = facts.k;
  json["distance"] = {{"min", facts.summary.least}, {"median", facts.summary.median}, {"max", facts.summary.largest}};
  json["duplicates"] = facts.summary.duplicates;
  json["passes"] = report.passes;
  json["pairs_per_second"] = report.pairs_per_second;
  json["evaluated_pairs_per_second"] = report.evaluated_pairs_per_second;
  add_costs(json, report);
  json["diagnoses"] = findings;
  return text_of(json);
}

std::string committor_json(const CommittorResults &results, const Report &report,
                           const std::vector<std::string> &findings) {
  Json json = run_of(report);
  json["N"] = results.rows;
  json["d"] = results.features;
  json["bandwidth"] = bandwidth_of(report.bandwidth);
  json["rate"] = results.rate;
  json["committor_residual"] = results.committor_residual;
  if (option_value(report, "times") == "true") json["first_passage_residual"] = results.first_passage_residual;
  json["iterations"] = results.iterations;
  json["preconditioner"] = results.preconditioner;
  add_passes(json, report);
  json["landmark_pairs"] = static_cast<std::int64_t>(report.landmark_pairs);
  json["pairs_per_second"] = report.pairs_per_second;
  add_costs(json, report);
  json["diagnoses"] = findings;
  return text_of(json);
}

std::string metric_json(const Results &map, const Metric &metric, double mean_dimension, const Report &report,
                        const std::vector<std::string> &findings) {
  Json json = run_of(report);
  json["N"] = map.rows;
  json["d"] = map.features;
  json["rank"] = metric.rank;
  json["mean_dimension"] = mean_dimension;
  json["lacking"] = static_cast<std::int64_t>(metric.lacking);
  json["passes"] = report.passes;
  json["pairs_per_second"] = report.pairs_per_second;
  json["evaluated_pairs_per_second"] = report.evaluated_pairs_per_second;
  add_costs(json, report);
  json["eigenvalues"] = map.eigenvalues;
  json["residuals"] = map.residuals;
  json["diagnoses"] = findings;
  return text_of(json);
}

std::string attention_json(const AttentionFacts &facts, const Report &report) {
  Json json = run_of(report);
  json.erase("pair");  // there is none
  const AttentionShape &shape = facts.shape;
  json["storage"] = storage_name(facts.storage);
  json["B"] = shape.batch;
  json["H"] = shape.heads;
  json["H_kv"] = shape.key_heads;
  json["N_q"] = shape.queries;
  json["N_k"] = shape.keys;
  json["D"] = shape.width;
  json["D_v"] = shape.value_width;
  json["repeats"] = facts.forward_seconds.size();
  json["forward"] = rate_of(shape, facts.forward_seconds, facts.forward, false);
  if (!facts.backward_seconds.empty()) json["backward"] = rate_of(shape, facts.backward_seconds, facts.backward, true);
  json["op"] = facts.op;
  if (facts.op != "softmax")
    json["threshold"] = {{"iterations", facts.forward.iterations}, {"sum_error", facts.forward.sum_error}};
  json["causal"] = facts.causal;
  json["padded"] = facts.padded;
  json["passes"] = report.passes;
  json["evaluated_pairs_per_second"] = report.evaluated_pairs_per_second;
  add_costs(json, report);
  return text_of(json);
}

std::string rows_json(const RowsFacts &facts, const Report &report) {
  Json json = run_of(report);
  json.erase("pair");
  json.erase("exchange");  // rows go nowhere
  json["op"] = facts.op;
  json["storage"] = storage_name(facts.storage);
  json["shape"] = facts.axes;
  json["dim"] = facts.axis;
  json["repeats"] = facts.forward_seconds.size();
  json["forward"] = {{"seconds", median_of(facts.forward_seconds)}};
  if (!facts.backward_seconds.empty()) json["backward"] = {{"seconds", median_of(facts.backward_seconds)}};
  json["metrics"] = metrics_of(facts.metrics);
  json["seconds"] = seconds_of(report);
  json["peak_bytes_per_rank"] = bytes_of(report);
  return text_of(json);
}

std::string metrics_line(const std::string &call, const ThresholdMetrics &metrics) {
  Json json = {{"call", call}};
  json.update(metrics_of(metrics));
  return json.dump() + "\n";
}

std::string metrics_line(const std::string &call, const ThresholdMetrics &metrics, const AttentionReport &report) {
  Json json = {{"call", call},
               {"passes", report.passes},
               {"tiles_visited", report.tiles_visited},
               {"tiles_skipped", report.tiles_skipped}};
  json.update(metrics_of(metrics));
  return json.dump() + "\n";
}

std::string option_value(const Report &report, std::string_view name) {
  for (const auto &[key, value] : report.options)
    if (key == name) return value;
  return {};
}

std::string command_line(const Report &report) {
  std::string line;
  for (const auto &[name, value] : report.options) {
    if (!line.empty()) line += ' ';
    line += "-" + name;
    if (!value.empty()) line += ' ' + quote(value);
  }
  return line;
}

std::string data_set_name(const Report &report) {
  const std::string file = option_value(report, "points");
  return file.empty() ? option_value(report, "generate") : file.substr(file.rfind('/') + 1);
}

}  // namespace flashring
