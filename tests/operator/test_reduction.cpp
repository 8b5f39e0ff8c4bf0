// Log-sum-exp between queries and sources: softmax attention for inner_exp, soft nearest neighbours for distances.
#include <gtest/gtest.h>

#include <limits>

#include "flashring/check.hpp"
#include "flashring/reduction.hpp"
#include "support/scatter.hpp"
#include "support/tolerance.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Attention {
  std::string pair = "inner_exp:s=0.6";
  Precision precision = Precision::fp64;
  Mask mask;
  int columns = 4;
  std::string backend = "auto";
  PointSet queries = random_points(143, 6, 61);
  PointSet sources = random_points(211, 6, 62);
  std::vector<double> log_weights;  // (sources), or empty
  std::vector<double> values = random_numbers(211 * 4, 63);
};

/// (queries, 1 + columns) column-major, whole on every rank.
std::vector<double> computed(const Attention &a, const RowPartition &query_rows, const RowPartition &source_rows) {
  const int rank = world().rank();
  const auto transport = make_transport("auto", world());
  const PointBlock queries = local_block(a.queries, query_rows, rank);
  const PointBlock sources = local_block(a.sources, source_rows, rank);
  const std::vector<double> values = local_columns(a.values, a.columns, source_rows, rank);
  std::vector<double> log_weights;
  if (!a.log_weights.empty()) log_weights = local_columns(a.log_weights, 1, source_rows, rank);
  // A rank without sources has no log weights to give: zeros that hide nothing must mean the same there.
  const LogSumExpRequest request{parse_pair(a.pair), a.precision, a.mask, log_weights, values, a.columns};
  const LogSumExpResult result =
      log_sum_exp(world(), *transport, find_backend(a.backend), {}, queries, sources, request);
  std::vector<double> all = gather_columns(result.lse, 1, query_rows, world());
  const std::vector<double> means = gather_columns(result.values, a.columns, query_rows, world());
  all.insert(all.end(), means.begin(), means.end());
  return all;
}

Bounded expected(const Attention &a) {
  const bool centred = a.pair.substr(0, 9) != "inner_exp";
  std::vector<double> mean;
  if (centred) {
    mean.assign(static_cast<std::size_t>(a.sources.features), 0.0);
    for (std::size_t i = 0; i < a.sources.rows.size(); ++i)
      mean[i % mean.size()] += a.sources.rows[i] / static_cast<double>(a.sources.count());
  }
  PairTable table = make_table(oracle_pair(a.pair), a.queries, a.sources, mean);
  std::vector<std::int64_t> own(table.own);
  std::vector<std::int64_t> visiting(table.visiting);
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = static_cast<std::int64_t>(i);
  for (std::size_t j = 0; j < visiting.size(); ++j) visiting[j] = static_cast<std::int64_t>(j);
  hide(table, own, visiting, a.mask.causal, a.mask.exclude_self);
  return oracle_log_sum_exp(table, a.log_weights, a.values, a.columns,
                            arithmetic(a.precision, find_backend(a.backend).tile_rows));
}

void check(const Attention &a) {
  const Bounded answer = expected(a);
  const auto query_rows = partitions(static_cast<std::int64_t>(a.queries.count()), world().size());
  const auto source_rows = partitions(static_cast<std::int64_t>(a.sources.count()), world().size());
  for (std::size_t p = 0; p < query_rows.size(); ++p) {
    SCOPED_TRACE(query_rows[p].name);
    EXPECT_EQ(outside(computed(a, query_rows[p].partition, source_rows[p].partition), answer), "");
  }
}

TEST(Reduction, SoftmaxAttention) {
  for (const Precision precision : {Precision::fp64, Precision::fp32})
    for (const char *backend : {"ref", "simd"}) {
      Attention a;
      a.precision = precision;
      a.backend = backend;
      check(a);
    }
}

TEST(Reduction, CausalAttention) {
  Attention a;
  a.mask.causal = true;
  check(a);
  a.precision = Precision::fp32;
  check(a);
}

TEST(Reduction, EveryPairFunction) {
  for (const char *pair : {"gaussian:beta=2", "laplacian:ell=0.5", "matern32:ell=0.5", "matern52:ell=0.5",
                           "rational_quadratic:ell=0.5,a=2", "inner_exp:s=-1"}) {
    SCOPED_TRACE(pair);
    Attention a;
    a.pair = pair;
    check(a);
  }
}

TEST(Reduction, LogWeightsTiltAndHide) {
  Attention a;
  a.log_weights = random_numbers(a.sources.count(), 64);
  for (double &weight : a.log_weights) weight *= 30;
  for (std::size_t j = 0; j < a.log_weights.size(); j += 3) a.log_weights[j] = -infinity;
  check(a);
}

TEST(Reduction, RowsThatSeeNothing) {
  Attention a;
  a.mask.causal = true;
  a.log_weights.assign(a.sources.count(), 0.0);
  for (std::size_t j = 0; j < 9; ++j) a.log_weights[j] = -infinity;
  check(a);
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(a.queries.count()), world().size());
  const auto sources = RowPartition::contiguous(static_cast<std::int64_t>(a.sources.count()), world().size());
  const std::vector<double> out = computed(a, rows, sources);
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(out[i], -infinity);
    EXPECT_EQ(out[a.queries.count() + i], 0.0);
  }
}

TEST(Reduction, FarPointsKeepTheirLogarithm) {
  // Distances of some hundreds of bandwidths: every weight is below the smallest number.
  Attention a;
  a.pair = "gaussian:beta=1";
  for (double &x : a.queries.rows) x += 30;
  check(a);
  a.precision = Precision::fp32;
  check(a);
}

TEST(Reduction, WithoutValues) {
  Attention a;
  a.columns = 0;
  a.values.clear();
  check(a);
}

TEST(Reduction, ConstantValuesComeBack) {
  Attention a;
  a.values.assign(a.values.size(), 0.25);
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(a.queries.count()), world().size());
  const auto sources = RowPartition::contiguous(static_cast<std::int64_t>(a.sources.count()), world().size());
  const std::vector<double> out = computed(a, rows, sources);
  for (std::size_t i = a.queries.count(); i < out.size(); ++i) EXPECT_NEAR(out[i], 0.25, 40 * 0x1p-53);
}

TEST(Reduction, ShapesAreChecked) {
  Attention a;
  a.values.pop_back();
  const auto transport = make_transport("auto", world());
  const int rank = world().rank();
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(a.sources.count()), world().size());
  const PointBlock sources = local_block(a.sources, rows, rank);
  const PointBlock other = local_block(random_points(20, 5, 1), RowPartition::contiguous(20, world().size()), rank);
  const std::vector<double> values(static_cast<std::size_t>(sources.local_rows()) * 4, 1.0);
  const Backend &backend = find_backend("auto");
  const LogSumExpRequest good{parse_pair(a.pair), Precision::fp64, {}, {}, values, 4};
  LogSumExpRequest few = good;
  if (rank == 0) few.values = std::span<const double>(values).subspan(1);  // one rank alone is wrong: all must throw
  EXPECT_NO_THROW(log_sum_exp(world(), *transport, backend, {}, sources, sources, good));
  EXPECT_THROW(log_sum_exp(world(), *transport, backend, {}, sources, sources, few), Error);
  EXPECT_THROW(log_sum_exp(world(), *transport, backend, {}, other, sources, good), Error);
  LogSumExpRequest unset = good;
  unset.pair = parse_pair("gaussian");
  EXPECT_THROW(log_sum_exp(world(), *transport, backend, {}, sources, sources, unset), Error);
}

}  // namespace
}  // namespace flashring::test
