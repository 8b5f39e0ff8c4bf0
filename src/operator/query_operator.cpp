// Averages at points that are no rows of the operator.
//
// One rectangular pass for up to 64 columns: the new points are the own rows and stay, the rows of the operator travel
// with their log weights and columns. Cost: M N pairs of points for M new ones, shared by the ranks; P - 1 blocks of
// N/P (d + c + 1) numbers sent by each rank; memory for the new points in tiles beside what a pass of the operator
// takes.
#include "flashring/query_operator.hpp"

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "operator/length.hpp"

namespace flashring {

QueryOperator::QueryOperator(KernelOperator &op, std::vector<double> log_weights)
    : op_(op), log_weights_(std::move(log_weights)) {
  op_.communicator().agree([&] {
    FLASHRING_REQUIRE(static_cast<std::int64_t>(log_weights_.size()) == op_.local_rows(), log_weights_.size(),
                      " log weights for ", op_.local_rows(), " rows");
    for (std::size_t j = 0; j < log_weights_.size(); ++j)
      FLASHRING_CHECK(std::isfinite(log_weights_[j]), "log weight of row ",
                      op_.global_row(LocalRow{static_cast<std::int64_t>(j)}).value, " is ", log_weights_[j],
                      "; finite numbers are allowed");
  });
}

void QueryOperator::check(const PointBlock &queries, std::span<const double> values, int columns,
                          GlobalRow first) const {
  FLASHRING_CHECK(queries.features() == op_.features(), "new points have ", queries.features(),
                  " features and those of the operator ", op_.features(), "; they must agree");
  FLASHRING_REQUIRE(columns >= 1 && values.size() == log_weights_.size() * static_cast<std::size_t>(columns),
                    values.size(), " values of ", columns, " columns for ", log_weights_.size(), " rows");
  const PairFunction &pair = op_.options().pair;
  check_point_scales(pair, queries);
  for (std::int64_t i = 0; i < queries.local_rows(); ++i) {
    // Lengths below all of the rows' make numbers above 1.
    const bool scaled = queries.point_scale() != PointScale::none;
    const double scalar = scaled ? std::max(1.0, pair.length_unit / length_of_scale(queries, i)) : 1;
    check_length(feature_scale(pair) * std::sqrt(squared_norm(queries, i, op_.mean())) * scalar,
                 op_.options().precision, first.value + i);
  }
}

LogSumExpResult QueryOperator::apply(const PointBlock &queries, std::span<const double> values, int columns,
                                     GlobalRow first) {
  op_.communicator().agree([&] { check(queries, values, columns, first); });
  LogSumExpResult all;
  for (int begin = 0; begin < columns; begin += max_columns) {
    if (op_.stop_requested()) throw Interrupted("interrupted by the user");
    LogSumExpRequest request;
    request.precision = op_.options().precision;
    request.log_weights = log_weights_;
    request.columns = std::min(max_columns, columns - begin);
    const auto count = static_cast<std::size_t>(request.columns);
    request.values = values.subspan(static_cast<std::size_t>(begin) * log_weights_.size(), count * log_weights_.size());
    LogSumExpResult part = op_.summation_->log_sum_exp(queries, op_.mean(), request);
    op_.counters_.queries += part.report;
    all.report += part.report;
    all.lse = std::move(part.lse);
    all.values.insert(all.values.end(), part.values.begin(), part.values.end());
  }
  return all;
}

}  // namespace flashring
