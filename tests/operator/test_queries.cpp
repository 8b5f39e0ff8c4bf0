// Averages over the rows of an operator at points that are none of them, against the oracle; passes go on as before.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/query_operator.hpp"
#include "support/apply.hpp"
#include "support/pair_text.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t rows = 300;
constexpr std::size_t count = 170;
constexpr int features = 5;

struct Queries {
  Settings settings;
  int columns = 3;
  PointSet sources = random_points(rows, features, 71);
  PointSet queries = random_points(count, features, 72);
};

std::vector<double> mean_of(const PointSet &points) {
  std::vector<double> mean(static_cast<std::size_t>(points.features), 0.0);
  for (std::size_t at = 0; at < points.rows.size(); ++at)
    mean[at % mean.size()] += points.rows[at] / static_cast<double>(points.count());
  return mean;
}

/// (queries, 1 + columns), whole.
std::vector<double> computed(KernelOperator &op, const Queries &q, const std::vector<double> &g,
                             const std::vector<double> &values, const RowPartition &query_rows) {
  const int rank = world().rank();
  QueryOperator averages(op, local_columns(g, 1, op.partition(), rank));
  const std::vector<double> mine = local_columns(values, q.columns, op.partition(), rank);
  const LogSumExpResult result =
      averages.apply(with_lengths(local_block(q.queries, query_rows, rank), op.options().pair), mine, q.columns);
  EXPECT_EQ(world().sum(result.report.pairs), static_cast<double>(rows * q.queries.count() * ((q.columns + 63) / 64)));
  std::vector<double> all = gather_columns(result.lse, 1, query_rows, world());
  const std::vector<double> means = gather_columns(result.values, q.columns, query_rows, world());
  all.insert(all.end(), means.begin(), means.end());
  for (std::size_t i = 0; i < q.queries.count(); ++i) all[i] += op.log_shift();
  return all;
}

/// On all partitions of the rows, or on `many` of them from number `first` on.
void check(const Queries &q, std::size_t first = 0, std::size_t many = SIZE_MAX) {
  const OperatorOptions options = options_of(q.settings);
  const std::vector<double> g = random_numbers(rows, 73);
  const std::vector<double> values = random_numbers(rows * static_cast<std::size_t>(q.columns), 74);
  const OraclePair pair = oracle_pair(options.get("pair"));
  const bool judge = world().rank() == 0;
  Bounded expected;
  if (judge) {
    const PairTable table =
        make_table(pair, q.queries, q.sources, pair.inner() ? std::vector<double>() : mean_of(q.sources));
    expected = oracle_log_sum_exp(table, g, values, q.columns, arithmetic(options.precision, 256));
  }
  const auto query_rows = partitions(static_cast<std::int64_t>(q.queries.count()), world().size());
  const auto source_rows = partitions(rows, world().size());
  for (std::size_t p = first; p < first + std::min(many, source_rows.size()); ++p) {
    const auto &[name, partition] = source_rows[p % source_rows.size()];
    SCOPED_TRACE(name);
    KernelOperator op = make_operator(q.sources, options, partition);
    const std::vector<double> found = computed(op, q, g, values, query_rows[(p + 1) % query_rows.size()].partition);
    // The shift of inner_exp is rounded, and so is the sum with it: below the bounds once more.
    EXPECT_EQ(judge ? outside(found, expected, pair.inner() ? 2 : 1) : "", "");
    EXPECT_EQ(op.counters().passes, 0) << "an average is no pass";
  }
}

TEST(QueryOperator, EveryPairEqualsTheOracle) {
  std::size_t next = 0;  // the partitions in turn
  for (const std::string &name : host_pair_names(features))
    for (const char *precision : {"fp64", "fp32"}) {
      const std::string pair = spread_pair(name, features);
      SCOPED_TRACE(pair + " " + precision);
      check({{{"pair", pair}, {"precision", precision}, {"backend", "simd"}}}, next++, 1);
    }
}

TEST(QueryOperator, MoreColumnsThanAPassCarriesAndOneColumn) {
  for (const int columns : {1, 64, 70}) {
    SCOPED_TRACE(columns);
    check({{{"beta", "0.8"}}, columns});
  }
}

TEST(QueryOperator, FarPointsHaveTheAverageOfTheNearest) {
  Queries q{{{"beta", "1"}}};
  for (double &x : q.queries.rows) x = 30 * x + 50;  // some thousand units of ln k: every weight underflows
  check(q);
}

/// Rectangular passes between square ones, with points that stay and points that travel, in two precisions.
TEST(QueryOperator, PassesGoOnAsBefore) {
  const Queries q;
  const std::vector<double> x = random_numbers(rows * 2, 75);
  const std::vector<double> g(rows, 0.0);
  const std::vector<double> values = random_numbers(rows * 3, 76);
  const RowPartition query_rows = RowPartition::contiguous(count, world().size());
  for (const char *precision : {"fp64", "fp32"}) {
    std::vector<double> by_ring;
    for (const char *exchange : {"ring", "resident"}) {
      SCOPED_TRACE(std::string(exchange) + " " + precision);
      KernelOperator op =
          make_operator(q.sources, options_of({{"beta", "1"}, {"exchange", exchange}, {"precision", precision}}));
      const std::vector<double> before = apply(op, x, 2);
      const std::vector<double> found = computed(op, q, g, values, query_rows);
      if (by_ring.empty()) by_ring = found;
      EXPECT_EQ(found, by_ring);
      EXPECT_EQ(apply(op, x, 2), before);
      EXPECT_EQ(computed(op, q, g, values, query_rows), by_ring);
    }
  }
}

TEST(QueryOperator, NoPointsGiveNoRows) {
  KernelOperator op = make_operator(random_points(rows, features, 71), options_of({{"beta", "1"}}));
  const auto n = static_cast<std::size_t>(op.local_rows());
  QueryOperator averages(op, std::vector<double>(n, 0.0));
  const PointBlock none(RowPartition::contiguous(0, world().size()), world().rank(), features, {});
  const LogSumExpResult result = averages.apply(none, std::vector<double>(n, 1.0), 1);
  EXPECT_TRUE(result.lse.empty());
  EXPECT_TRUE(result.values.empty());
}

TEST(QueryOperator, AsksTheStopFunction) {
  const Queries q;
  KernelOperator op = make_operator(q.sources, options_of({{"beta", "1"}}));
  op.set_stop([] { return world().rank() == world().size() - 1; });
  EXPECT_THROW(computed(op, q, std::vector<double>(rows, 0.0), std::vector<double>(rows * 3, 1.0),
                        RowPartition::contiguous(count, world().size())),
               Interrupted);
}

/// The words of the error on every rank, when the last query is moved there.
std::string error_at(const char *precision, double place) {
  PointSet queries = random_points(9, features, 77);
  queries.rows[8 * features] = place;
  KernelOperator op =
      make_operator(random_points(20, features, 78), options_of({{"beta", "1"}, {"precision", precision}}));
  const auto n = static_cast<std::size_t>(op.local_rows());
  QueryOperator averages(op, std::vector<double>(n, 0.0));
  try {
    averages.apply(local_block(queries, RowPartition::contiguous(9, world().size()), world().rank()),
                   std::vector<double>(n, 1.0), 1, GlobalRow{100});
  } catch (const Error &error) {
    EXPECT_TRUE(error.common());
    return error.what();
  }
  return "";
}

TEST(QueryOperator, PointsBeyondThePrecisionAreRefusedByRow) {
  EXPECT_EQ(error_at("fp32", 1e17), "");
  EXPECT_EQ(error_at("fp64", 1e130), "");
  for (const auto &[precision, place] : {std::pair("fp32", 1e19), std::pair("fp64", 1e150)}) {
    const std::string error = error_at(precision, place);
    for (const char *words : {"row 10", "length scales away from the mean", precision})
      EXPECT_NE(error.find(words), std::string::npos) << error;
  }
}

TEST(QueryOperator, OtherShapesAreRefused) {
  KernelOperator op = make_operator(random_points(20, features, 78), options_of({{"beta", "1"}}));
  const auto n = static_cast<std::size_t>(op.local_rows());
  QueryOperator averages(op, std::vector<double>(n, 0.0));
  const RowPartition some = RowPartition::contiguous(9, world().size());
  const std::vector<double> values(n, 1.0);
  EXPECT_THROW(averages.apply(local_block(random_points(9, 4, 1), some, world().rank()), values, 1), Error);
  std::vector<double> bad(n, 0.0);
  if (world().rank() == 0) bad.back() = INFINITY;
  EXPECT_THROW(QueryOperator(op, bad), Error);
}

}  // namespace
}  // namespace flashring::test
