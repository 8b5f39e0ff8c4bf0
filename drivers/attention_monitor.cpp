// -monitor of flashring-attention: a line of JSON for each call, and what a call over tiles knows of its rows.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "attention_run.hpp"
#include "flashring/attention_results.hpp"

namespace flashring {
namespace {

double square_sum(const std::vector<std::byte> &array, Storage storage) {
  constexpr std::int64_t most = 4096;
  const auto count = static_cast<std::int64_t>(array.size() / storage_bytes(storage));
  std::vector<double> numbers(static_cast<std::size_t>(std::min(most, count)));
  double sum = 0;
  for (std::int64_t first = 0; first < count; first += most) {
    const std::int64_t some = std::min(most, count - first);
    load_numbers(array.data(), storage, first, 1, some, numbers.data());
    sum = std::inner_product(numbers.begin(), numbers.begin() + some, numbers.begin(), sum);
  }
  return sum;
}

}  // namespace

CallMonitor::CallMonitor(const Communicator &communicator, std::string file)
    : communicator_(communicator), file_(std::move(file)) {
  if (active()) write_monitor(communicator_, file_, lines_);  // a bad path is said at once
}

void CallMonitor::add(const std::string &line) {
  lines_ += line;
  write_monitor(communicator_, file_, lines_);
}

ThresholdMetrics tile_metrics(const Communicator &communicator, const AttentionOptions &options,
                              const AttentionSaved &saved, const AttentionReport &report) {
  ThresholdMetrics metrics;
  const bool softmax = options.op == "softmax";
  const std::vector<double> &rows = softmax ? saved.log_sum_exp : saved.thresholds.row_maximum;
  const auto sees = [](double value) { return std::isfinite(value); };
  metrics.rows = communicator.sum(static_cast<std::int64_t>(std::count_if(rows.begin(), rows.end(), sees)));
  metrics.iterations = report.iterations;
  metrics.sum_error = report.sum_error;
  std::vector<double> alphas = options.alpha;
  if (alphas.empty() && has_parameter(options.op)) alphas = {default_parameter(options.op)};
  metrics.set_alphas(threshold_parameters(options.op, alphas, options.complements));
  // A sum of u = y^(e - 1) counts weights where e = 1.
  const bool counted = options.op == "sparsemax" || (options.op == "entmax" && metrics.alpha_min == 2);
  const std::vector<double> &u = saved.thresholds.u_sum;
  if (counted)
    metrics.mean_support =
        communicator.sum(std::accumulate(u.begin(), u.end(), 0.0)) / static_cast<double>(metrics.rows);
  return metrics;
}

double common_norm(const Communicator &communicator, Storage storage,
                   std::initializer_list<const std::vector<std::byte> *> arrays) {
  double square = 0;
  for (const std::vector<std::byte> *array : arrays) square += square_sum(*array, storage);
  return std::sqrt(communicator.sum(square));
}

}  // namespace flashring
