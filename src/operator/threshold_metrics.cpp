// The metrics of rows from what became of each, rows in their order.
#include <array>

#include "operator/threshold_rows.hpp"

namespace flashring {

ThresholdMetrics collect_metrics(const std::vector<RowOutcome> &outcomes, const std::vector<double> &row_maximum,
                                 const std::vector<double> &alphas, bool monitor, const Communicator *group) {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  ThresholdMetrics metrics;
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
  metrics.mean_support = monitor ? parts[1] / rows : unknown;
  metrics.zeros = monitor ? 1 - parts[1] / parts[0] : unknown;
  metrics.mean_entropy = monitor ? parts[2] / rows : unknown;
  metrics.gradient_norm = monitor ? std::sqrt(parts[3]) : unknown;
  metrics.alpha_min = metrics.alpha_mean = metrics.alpha_max = unknown;
  if (alphas.empty()) return metrics;
  const auto [least, most] = std::minmax_element(alphas.begin(), alphas.end());
  metrics.alpha_min = *least;
  metrics.alpha_max = *most;
  metrics.alpha_mean = 0;
  for (const double alpha : alphas) metrics.alpha_mean += alpha / static_cast<double>(alphas.size());
  return metrics;
}

}  // namespace flashring
