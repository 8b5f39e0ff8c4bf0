// Threshold attention over tiles against a dense reference: thresholds by bisection in long double, which shares no
// code with the product, and golden numbers of another program.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/threshold_attention.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Family {
  const char *name;
  double s, e_minus_1;
};
// alpha or a: 1.2, 1.5 (entmax), 0.15, 0.5, 0.85 of scale none, 1 - 1e-8.
constexpr Family families[] = {{"sparsemax", 1, 0},
                               {"entmax_1.2", 0.2, 4},
                               {"entmax_1.5", 0.5, 1},
                               {"diffmax_0.15", 0.85, 0.15 / 0.85},
                               {"diffmax_none_0.85", 1, 0.85 / 0.15},
                               {"diffmax_near_1", 1e-8, 1e8 - 1}};

/// Whole on every rank.
struct Problem {
  Precision precision = Precision::fp64;
  std::string backend = "simd";
  double scale = 1;
  Mask mask;
  int columns = 3;
  bool skip = true;
  int threads = 1;
  PointSet queries = random_points(300, 6, 71);
  PointSet keys = random_points(530, 6, 72);
  std::vector<double> values = random_numbers(530 * 3, 73);  // (keys, columns) column-major
  std::vector<double> log_weights = std::vector<double>(530, 0.0);
  std::vector<double> s, e_minus_1;  // (queries)

  explicit Problem(const Family &family) : s(queries.count(), family.s), e_minus_1(queries.count(), family.e_minus_1) {}
  /// Rows of all families in turn.
  Problem() : Problem(families[0]) {
    for (std::size_t i = 0; i < s.size(); ++i) {
      s[i] = families[i % std::size(families)].s;
      e_minus_1[i] = families[i % std::size(families)].e_minus_1;
    }
  }
};

struct Answer {
  std::vector<double> values;             // (queries, 2 columns) column-major, whole
  std::vector<double> t, maximum, u_sum;  // (queries)
  ThresholdReport report;
};

Answer run(const Problem &p, const RowPartition &query_rows, const RowPartition &key_rows) {
  const Backend &backend = backend_named(p.backend);
  const auto transport = make_transport("auto", world(), backend.device);
  Ring ring(world(), *transport, backend, {p.threads, Route::direct});
  const TileShape shape{
      {PairKind::inner_exp, {p.scale, 0}}, RowKind::power_sums, 0, p.precision, p.queries.features, p.columns, p.mask};
  const int rank = world().rank();
  TileBlock own(backend, shape, local_block(p.queries, query_rows, rank), {});
  TileBlock sources(backend, shape, local_block(p.keys, key_rows, rank), {});
  const std::vector<double> v = local_columns(p.values, p.columns, key_rows, rank);
  sources.set_columns({v.data(), sources.local_rows(), p.columns});
  sources.set_pass_scalars(local_columns(p.log_weights, 1, key_rows, rank), -infinity);
  const std::vector<double> s = local_columns(p.s, 1, query_rows, rank);
  const std::vector<double> e_minus_1 = local_columns(p.e_minus_1, 1, query_rows, rank);
  ThresholdRequest request;
  request.s = s;
  request.e_minus_1 = e_minus_1;
  request.second = true;
  request.skip = p.skip;
  const auto rows = static_cast<std::size_t>(own.local_rows());
  std::vector<double> out(rows * 2 * static_cast<std::size_t>(p.columns));
  const ThresholdResult result = threshold_attention(
      world(), ring, shape, own, sources, request,
      [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
        for (int c = 0; c < 2 * p.columns; ++c)
          std::copy_n(answers + c * stride, count,
                      out.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(c) * rows) + first.value);
      });
  const auto whole = [&](const std::vector<double> &local, int columns) {
    return gather_columns(local, columns, query_rows, world());
  };
  return {whole(out, 2 * p.columns), whole(result.rows.t, 1), whole(result.rows.row_maximum, 1),
          whole(result.rows.u_sum, 1), result.report};
}

Answer run(const Problem &p) {
  return run(p, RowPartition::contiguous(static_cast<std::int64_t>(p.queries.count()), world().size()),
             RowPartition::contiguous(static_cast<std::int64_t>(p.keys.count()), world().size()));
}

/// Scores of a row, -infinity where nothing is seen, and the largest rounding of one.
std::vector<Real> scores(const Problem &p, std::size_t i, double unit, Real &rounding) {
  const auto d = static_cast<std::size_t>(p.queries.features);
  std::vector<Real> x(p.keys.count(), -infinity);
  rounding = 0;
  for (std::size_t j = 0; j < x.size(); ++j) {
    if (p.log_weights[j] == -infinity) continue;
    if (!visible(p.mask, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j))) continue;
    Real sum = 0;
    Real size = 0;
    for (std::size_t k = 0; k < d; ++k) {
      const Real term = static_cast<Real>(p.queries.rows[i * d + k]) * p.keys.rows[j * d + k];
      sum += term;
      size += std::abs(term);
    }
    x[j] = p.scale * sum;
    // Packed features 2u each, d sums, the logarithm's factor, the difference with the largest and its factor.
    rounding = std::max(rounding, (static_cast<Real>(d) + 12) * unit * std::abs(p.scale) * size);
  }
  return x;
}

/// Of the rows that are looked at, `rows_step` apart.
struct Expected {
  std::vector<std::size_t> rows;
  std::vector<Real> value, bound;  // (rows, 2 columns) column-major
};

/// One row of scores: p = y^e, u = y^(e-1) with y = [1 + s (x - top) - t]_+.
struct DenseRow {
  std::vector<Real> x;
  Real s, e, top, t = 0;

  Real power(std::size_t j, Real exponent) const {
    if (x[j] == -infinity) return 0;
    const Real d = s * (x[j] - top) - t;
    return d > -1 ? std::exp(exponent * std::log1p(d)) : 0;
  }
  Real sum(Real exponent) const {
    Real total = 0;
    for (std::size_t j = 0; j < x.size(); ++j) total += power(j, exponent);
    return total;
  }
  /// By bisection, and a few Newton steps from the left.
  void solve() {
    Real high = 1;
    for (int n = 0; n < 30; ++n) {
      const Real low = t;
      t = (low + high) / 2;
      if (sum(e) > 1) continue;
      high = t;
      t = low;
    }
    for (int n = 0; n < 8; ++n) t += (sum(e) - 1) / (e * sum(e - 1));
  }
};

/// The output is off by what moves its scores, e s sum u |dx| |v - o2| <= 2 e s (sum u) dx with |v| <= 1; by e (sum u)
/// times the rounding of y; by the sum of p that is not quite 1, which moves t and the output by 2 |S0 - 1|; and by
/// roundings of powers, 8 u (1 + |ln p|) with |ln p| < 40 for weights that count, and of sums. u is steeper than p: its
/// slope is (e - 1) y^(e-2), which for e < 2 makes of an error of y one of that error to the power of e - 1.
Expected dense(const Problem &p, std::size_t rows_step) {
  const bool fp64 = p.precision == Precision::fp64;
  const double unit = fp64 ? 0x1p-53 : 0x1p-24;
  const double sum_error = fp64 ? 0x1p-46 : 0x1p-20;
  const auto columns = static_cast<std::size_t>(p.columns);
  Expected out;
  for (std::size_t i = 0; i < p.queries.count(); i += rows_step) out.rows.push_back(i);
  out.value.assign(out.rows.size() * 2 * columns, 0);
  out.bound.assign(out.rows.size() * 2 * columns, 0);
  for (std::size_t n = 0; n < out.rows.size(); ++n) {
    const std::size_t i = out.rows[n];
    Real rounding = 0;
    DenseRow row{scores(p, i, unit, rounding), p.s[i], static_cast<Real>(p.e_minus_1[i]) + 1, 0};
    row.top = *std::max_element(row.x.begin(), row.x.end());
    if (row.top == -infinity) continue;
    row.solve();
    const Real u_sum = row.sum(row.e - 1);
    const Real bound = 2 * u_sum * row.e * (row.s * rounding + 2 * unit) + 2 * sum_error + (8 * (1 + 40) + 300) * unit;
    const Real steep = row.e > 1 && row.e < 2 ? std::pow(static_cast<Real>(sum_error), row.e - 1) : 0;
    for (std::size_t c = 0; c < columns; ++c) {
      const std::size_t at = c * out.rows.size() + n;
      const std::size_t at2 = at + columns * out.rows.size();
      for (std::size_t j = 0; j < row.x.size(); ++j) {
        out.value[at] += row.power(j, row.e) * p.values[c * row.x.size() + j];
        out.value[at2] += row.power(j, row.e - 1) * p.values[c * row.x.size() + j] / u_sum;
      }
      out.bound[at] = bound;
      out.bound[at2] = 4 * bound + 4 * steep;
    }
  }
  return out;
}

/// The numbers beyond their bounds, in words.
std::string compare(const Answer &answer, const Expected &expected) {
  const std::size_t rows = expected.rows.size();
  for (std::size_t at = 0; at < expected.value.size(); ++at) {
    const double value = answer.values[at / rows * answer.t.size() + expected.rows[at % rows]];
    if (!(std::abs(value - expected.value[at]) <= expected.bound[at]))
      return detail::concatenate("row ", expected.rows[at % rows], ", column ", at / rows, ": ", value, " instead of ",
                                 static_cast<double>(expected.value[at]), ", bound ",
                                 static_cast<double>(expected.bound[at]));
  }
  return "";
}

constexpr std::size_t some = 7;  // every so many rows are compared: long double is slow

TEST(ThresholdAttention, EveryFamily) {
  for (const Family &family : families) {
    SCOPED_TRACE(family.name);
    Problem p(family);
    const Answer answer = run(p);
    EXPECT_LE(answer.report.sum_error, 0x1p-46);
    EXPECT_EQ(world().rank() == 0 ? compare(answer, dense(p, 5 * some)) : "", "");
    p.precision = Precision::fp32;
    const Answer rough = run(p);
    EXPECT_LE(rough.report.sum_error, 0x1p-20);
    EXPECT_EQ(rough.report.passes, 3) << "bins, lists or a step, output";
  }
}

/// More scores than a list has places lie above a threshold, and rows with e < 2 end by those in a window around it.
TEST(ThresholdAttention, ScoresThatAreAlike) {
  for (const Family &family : families)
    for (const double scale : {0.001, 0.02, 0.1}) {
      SCOPED_TRACE(detail::concatenate(family.name, " ", scale));
      Problem p(family);
      p.scale = scale;
      const Expected expected = world().rank() == 0 ? dense(p, 5 * some) : Expected();
      const Answer answer = run(p);
      EXPECT_LE(answer.report.sum_error, 0x1p-46 + 530 * 0x1p-54) << "every score's p feels the rounding of t";
      EXPECT_EQ(world().rank() == 0 ? compare(answer, expected) : "", "");
      p.precision = Precision::fp32;
      const Answer rough = run(p);
      EXPECT_LE(rough.report.sum_error, 0x1p-19);
      EXPECT_LE(rough.report.passes, 4) << "bins, two lists or steps, output";
    }
}

TEST(ThresholdAttention, EveryBackendAndPartition) {
  Problem p;
  p.log_weights[3] = p.log_weights[529] = -infinity;
  for (const bool causal : {false, true}) {
    p.mask.causal = causal;
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      p.precision = precision;
      const bool judge = world().rank() == 0;
      const Expected expected = judge ? dense(p, some) : Expected();
      const auto query_rows = partitions(static_cast<std::int64_t>(p.queries.count()), world().size());
      const auto key_rows = partitions(static_cast<std::int64_t>(p.keys.count()), world().size());
      for (std::size_t n = 0; n < query_rows.size(); ++n) {
        const Answer answer = run(p, query_rows[n].partition, key_rows[(n + 1) % key_rows.size()].partition);
        EXPECT_EQ(judge ? compare(answer, expected) : "", "") << query_rows[n].name;
      }
      if (world().size() > 1) continue;
      for (const std::string &backend : vector_backends()) {
        Problem other = p;
        other.backend = backend;
        EXPECT_EQ(compare(run(other), expected), "") << backend;
      }
    }
  }
}

/// Queries and keys of which the first half see each other and hardly the others.
Problem two_clusters(Precision precision) {
  Problem p;
  p.precision = precision;
  p.queries = random_points(520, 6, 74);
  p.s.resize(520);
  p.e_minus_1.resize(520);
  for (std::size_t i = 300; i < 520; ++i) {
    p.s[i] = p.s[i - 300];
    p.e_minus_1[i] = p.e_minus_1[i - 300];
  }
  // Families near softmax have no zeros that could be left out.
  for (std::size_t i = 0; i < 520; ++i) {
    if (p.e_minus_1[i] <= 5) continue;
    p.s[i] = 1;
    p.e_minus_1[i] = 2;
  }
  for (std::size_t i = 0; i < 520; ++i) p.queries.rows[i * 6] += i < 256 ? 8 : -8;
  for (std::size_t j = 0; j < 530; ++j) p.keys.rows[j * 6] += j < 256 ? 8 : -8;
  return p;
}

/// Bits of a device go there and back; what it computes in fp32 its own tests know.
TEST(ThresholdAttention, SkippedTilesChangeNoBit) {
  const std::pair<const char *, Precision> all_of[] = {
      {"simd", Precision::fp64}, {"simd", Precision::fp32}, {"device", Precision::fp64}};
  for (const auto &[backend, precision] : all_of) {
    SCOPED_TRACE(backend);
    Problem p = two_clusters(precision);
    p.backend = backend;
    const Answer skipping = run(p);
    p.skip = false;
    const Answer all = run(p);
    EXPECT_EQ(skipping.values, all.values);
    EXPECT_EQ(skipping.t, all.t);
    EXPECT_EQ(skipping.u_sum, all.u_sum);
    EXPECT_EQ(all.report.tiles_skipped, 0);
    EXPECT_GT(skipping.report.tiles_skipped, 0);
    EXPECT_EQ(skipping.report.tiles_visited + skipping.report.tiles_skipped, all.report.tiles_visited);
    const auto tiles = [&p](std::size_t rows) {
      const RowPartition partition = RowPartition::contiguous(static_cast<std::int64_t>(rows), world().size());
      std::int64_t sum = 0;
      for (int rank = 0; rank < world().size(); ++rank)
        sum += count_tiles(partition, rank, backend_named(p.backend).tile_rows);
      return static_cast<double>(sum);
    };
    EXPECT_EQ(all.report.tiles_visited, all.report.passes * tiles(p.queries.count()) * tiles(p.keys.count()));
  }
}

/// Of a device they take the answers.
TEST(ThresholdAttention, BitsDoNotDependOnThreads) {
  for (const char *backend : {"simd", "device"}) {
    Problem p = two_clusters(Precision::fp32);
    p.backend = backend;
    const Answer one = run(p);
    p.threads = 3;
    const Answer three = run(p);
    EXPECT_EQ(one.values, three.values);
    EXPECT_EQ(one.t, three.t);
    EXPECT_EQ(one.report.tiles_visited, three.report.tiles_visited);
  }
}

TEST(ThresholdAttention, SpecialRows) {
  for (const char *backend : {"ref", "simd"}) {
    Problem p;
    p.backend = backend;
    p.mask.causal = true;
    for (std::size_t j = 0; j < 8; ++j) p.log_weights[j] = -infinity;
    for (std::size_t j = 9; j < 20; ++j)
      for (std::size_t k = 0; k < 6; ++k) p.keys.rows[j * 6 + k] = p.keys.rows[8 * 6 + k];
    const Answer answer = run(p);
    const std::size_t n = p.queries.count();
    for (std::size_t i = 0; i < 20; ++i)
      for (std::size_t c = 0; c < 3; ++c) {
        // Rows 0 to 7 see nothing, row 8 one key, the next ones keys that are alike: a mean.
        Real mean = 0;
        for (std::size_t j = 8; j <= i; ++j) mean += p.values[c * 530 + j] / static_cast<Real>(i - 7);
        EXPECT_NEAR(answer.values[c * n + i], static_cast<double>(mean), i < 9 ? 0 : 0x1p-44) << backend << i;
        EXPECT_NEAR(answer.values[(3 + c) * n + i], static_cast<double>(mean), i < 9 ? 0 : 0x1p-44) << backend << i;
      }
    EXPECT_EQ(answer.maximum[0], -infinity);
    EXPECT_EQ(answer.t[8], 0);
    EXPECT_EQ(answer.u_sum[8], 1);
  }
}

TEST(ThresholdAttention, BadNumbersAreNamed) {
  Problem p;
  p.e_minus_1[5] = -0.1;
  EXPECT_THROW(run(p), Error);
  p = Problem();
  p.s[5] = 0;
  EXPECT_THROW(run(p), Error);
  p = Problem();
  p.s[5] = 1e-31;
  EXPECT_NO_THROW(run(p));
  p.precision = Precision::fp32;
  EXPECT_THROW(run(p), Error);
  p = Problem();
  p.precision = Precision::fp32;
  p.scale = 1e30;
  for (double &x : p.queries.rows) x *= 1e15;
  EXPECT_THROW(run(p), Error);
}

}  // namespace
}  // namespace flashring::test
