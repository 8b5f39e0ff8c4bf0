#include "flashring/landmark_operator.hpp"

#include <algorithm>

#include "flashring/check.hpp"

namespace flashring {

LandmarkOperator::LandmarkOperator(KernelOperator &op, std::span<const double> points)
    : op_(op),
      count_(static_cast<std::int64_t>(points.size()) / point_numbers(op.options().pair, op.features())),
      summation_(op.summation_->landmarks(points)) {}

void LandmarkOperator::apply(SumRequest request) { apply_in_turn(request, &LandmarkSummation::apply); }

void LandmarkOperator::apply_transpose(SumRequest request) {
  apply_in_turn(request, &LandmarkSummation::apply_transpose);
}

/// Blocks of columns that a pass can carry.
void LandmarkOperator::apply_in_turn(SumRequest request, PassReport (LandmarkSummation::*product)(const SumRequest &)) {
  for (int all = request.columns; all > 0; all -= max_columns) {
    if (op_.stop_requested()) throw Interrupted("interrupted by the user");
    request.columns = std::min(max_columns, all);
    op_.counters_.landmarks += (*summation_.*product)(request);
    request.x += max_columns * request.ldx;
    request.y += max_columns * request.ldy;
  }
}

std::vector<double> LandmarkOperator::among() {
  const auto m = static_cast<std::size_t>(count_);
  std::vector<double> matrix(m * m);
  std::vector<double> unit(m * std::min<std::size_t>(m, max_columns));  // (m, columns) of the identity
  for (std::size_t first = 0; first < m; first += max_columns) {
    const std::size_t columns = std::min<std::size_t>(max_columns, m - first);
    std::fill(unit.begin(), unit.end(), 0.0);
    for (std::size_t c = 0; c < columns; ++c) unit[c * m + first + c] = 1;
    SumRequest request{unit.data(), count_, matrix.data() + first * m, count_, static_cast<int>(columns)};
    op_.counters_.landmarks += summation_->apply_among(request);
  }
  return matrix;
}

}  // namespace flashring
