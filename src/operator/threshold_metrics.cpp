// The metrics of rows from what became of each, rows in their order.
#include <array>

#include "operator/threshold_rows.hpp"

namespace flashring {

void ThresholdMetrics::set_alphas(const std::vector<double> &alphas) {
  if (alphas.empty()) return;
  const auto [least, most] = std::minmax_element(alphas.begin(), alphas.end());
  alpha_min = *least;
  alpha_max = *most;
  alpha_mean = 0;
  for (const double alpha : alphas) alpha_mean += alpha / static_cast<double>(alphas.size());
}

ThresholdMetrics collect_metrics(const std::vector<RowOutcome> &outcomes, const std::vector<double> &row_maximum,
                                 const std::vector<double> &alphas, bool monitor, const Communicator *group) {
  ThresholdMetrics metrics;
  metrics.largest_step = 0;
  std::array<double, 4> parts{};  // entries, support, entropy, squares of the gradient
  for (std::size_t r = 0; r < outcomes.size(); ++r) {
    if (!std::isfinite(row_maximum[r])) continue;
    const RowOutcome &row = outcomes[r];
    ++metrics.rows;
    metrics.iterations = std::max(metrics.iterations, row.iterations);
    metrics.largest_step = std::max(metrics.largest_step, row.step);
    metrics.sum_error = std::max(metrics.sum_error, std::abs(row.sum - 1));
    parts[0] += static_cast<double>(row.finite);
    parts[1] += static_cast<double>(row.support);
    parts[2] += row.entropy;
    parts[3] += row.gradient_square;
  }
  if (group != nullptr) group->sum(std::span<double>(parts));
  const double rows = static_cast<double>(metrics.rows);
  if (monitor) {
    metrics.scores = parts[0];
    metrics.mean_support = parts[1] / rows;
    metrics.zeros = 1 - parts[1] / parts[0];
    metrics.mean_entropy = parts[2] / rows;
    metrics.gradient_norm = std::sqrt(parts[3]);
  }
  metrics.set_alphas(alphas);
  return metrics;
}

ThresholdMetrics join_metrics(const Communicator &communicator, const ThresholdMetrics &mine) {
  ThresholdMetrics all = mine;
  const auto rows = static_cast<double>(mine.rows);
  all.rows = communicator.sum(mine.rows);
  std::array<double, 3> most{static_cast<double>(mine.iterations), mine.largest_step, mine.sum_error};
  communicator.max(std::span<double>(most));
  all.iterations = static_cast<int>(most[0]);
  all.largest_step = most[1];
  all.sum_error = most[2];
  const auto of_rows = [&](double mean) { return mine.rows > 0 ? mean * rows : 0; };
  std::array<double, 4> parts{mine.scores, of_rows(mine.mean_support), of_rows(mine.mean_entropy),
                              mine.gradient_norm * mine.gradient_norm};
  communicator.sum(std::span<double>(parts));
  all.scores = parts[0];
  all.mean_support = parts[1] / static_cast<double>(all.rows);
  all.zeros = 1 - parts[1] / parts[0];
  all.mean_entropy = parts[2] / static_cast<double>(all.rows);
  all.gradient_norm = std::sqrt(parts[3]);
  return all;
}

}  // namespace flashring
