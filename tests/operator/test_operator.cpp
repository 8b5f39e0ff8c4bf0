// KernelOperator against the dense operator in long double: forms, transposes, precisions, set-up vectors, measures,
// and updates in place.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/check.hpp"
#include "flashring/kernel_operator.hpp"
#include "support/apply.hpp"
#include "support/dense.hpp"
#include "support/error_of.hpp"

namespace flashring::test {
namespace {

constexpr int tile = 256;  // terms at most that a backend sums in the working precision

const char *const pairs[] = {"gaussian:beta=0.8",
                             "laplacian:ell=0.9",
                             "matern32:ell=0.8",
                             "matern52:ell=0.7",
                             "rational_quadratic:ell=0.6,a=1.5",
                             "inner_exp:s=0.9",
                             "self_tuned",
                             "variable_bandwidth:epsilon=0.4",
                             "local_mahalanobis:beta=0.9"};
const char *const forms[] = {"kernel", "symmetric", "markov"};

Form form_of(const std::string &name) {
  return name == "kernel" ? Form::kernel : name == "symmetric" ? Form::symmetric : Form::markov;
}

TEST(KernelOperator, EveryFormOfEveryPair) {
  const PointSet points = random_points(141, 4, 71);
  const std::vector<double> x = random_numbers(141 * 3, 72);
  for (const char *pair : pairs)
    for (const char *form : forms) {
      SCOPED_TRACE(std::string(pair) + " " + form);
      const DenseOperator dense(points, pair, 0.7, form_of(form), tile);
      KernelOperator op = make_operator(points, options_of({{"pair", pair}, {"alpha", "0.7"}, {"form", form}}));
      EXPECT_EQ(outside(apply(op, x, 3), dense.apply(x, 3, Precision::fp64)), "");
      EXPECT_EQ(outside(apply(op, x, 3, true), dense.apply(x, 3, Precision::fp64, true)), "") << "transposed";
      std::vector<double> diagonal(static_cast<std::size_t>(op.local_rows()));
      op.diagonal(diagonal);
      EXPECT_EQ(outside(whole(op, diagonal), dense.diagonal()), "") << "diagonal";
    }
}

TEST(KernelOperator, SinglePrecisionProductsAndDoubleResiduals) {
  const PointSet points = random_points(141, 12, 73);
  const std::vector<double> x = random_numbers(141, 74);
  for (const char *pair : {"gaussian:beta=0.3", "laplacian:ell=1.5", "inner_exp:s=0.5"})
    for (const char *form : forms) {
      SCOPED_TRACE(std::string(pair) + " " + form);
      const DenseOperator dense(points, pair, 0.5, form_of(form), tile);
      KernelOperator op = make_operator(points, options_of({{"pair", pair}, {"form", form}, {"precision", "fp32"}}));
      EXPECT_EQ(outside(apply(op, x, 1), dense.apply(x, 1, Precision::fp32)), "");
      EXPECT_EQ(outside(apply(op, x, 1, false, true), dense.apply(x, 1, Precision::fp64)), "") << "apply_fp64";
      EXPECT_EQ(outside(whole(op, op.density()), dense.density(op.log_shift())), "") << "set-up is fp64 always";
    }
}

TEST(KernelOperator, SetUpVectors) {
  const PointSet points = random_points(97, 3, 75);
  for (const char *pair : pairs)
    for (const double alpha : {0.0, 0.5, 1.0}) {
      SCOPED_TRACE(std::string(pair) + " alpha " + std::to_string(alpha));
      const DenseOperator dense(points, pair, alpha, Form::markov, tile);
      KernelOperator op = make_operator(points, options_of({{"pair", pair}, {"alpha", std::to_string(alpha)}}));
      const double shift = op.log_shift();
      EXPECT_EQ(shift != 0, std::string(pair).substr(0, 5) == "inner");
      EXPECT_EQ(outside(whole(op, op.density()), dense.density(shift)), "") << "density";
      EXPECT_EQ(outside(whole(op, op.weight()), dense.weight(shift)), "") << "weight";
      EXPECT_EQ(outside(whole(op, op.degree()), dense.degree(shift)), "") << "degree";
    }
}

TEST(KernelOperator, RoutesBackendsPartitionsAndThreads) {
  const PointSet points = random_points(301, 3, 76);
  const std::vector<double> x = random_numbers(301 * 2, 77);
  const DenseOperator dense(points, "matern52:ell=0.7", 0.5, Form::symmetric, tile);
  const Bounded expected = dense.apply(x, 2, Precision::fp64);
  for (const char *route : {"direct", "travel"})
    for (const char *backend : {"ref", "simd"})
      for (const auto &[name, partition] : partitions(301, world().size())) {
        SCOPED_TRACE(std::string(route) + " " + backend + " " + name);
        OperatorOptions options =
            options_of({{"pair", "matern52:ell=0.7"}, {"form", "symmetric"}, {"route", route}, {"backend", backend}});
        KernelOperator op = make_operator(points, options, partition);
        const std::vector<double> y = apply(op, x, 2);
        EXPECT_EQ(outside(y, expected), "");
        EXPECT_EQ(apply(op, x, 2), y) << "a repeated product has other bits";
        options.threads = 3;
        KernelOperator threaded = make_operator(points, options, partition);
        EXPECT_EQ(apply(threaded, x, 2), y) << "three threads have other bits";
      }
}

TEST(KernelOperator, ManyColumnsWithLeadingDimensions) {
  const PointSet points = random_points(83, 3, 78);
  const int columns = 70;  // more than one pass carries
  const std::vector<double> x = random_numbers(83 * columns, 79);
  const DenseOperator dense(points, "gaussian:beta=1", 0.5, Form::markov, tile);
  KernelOperator op = make_operator(points, options_of({{"beta", "1"}, {"form", "markov"}}));
  const RowPartition &rows = op.partition();
  const std::vector<double> mine = local_columns(x, columns, rows, world().rank());
  const std::int64_t n = op.local_rows();
  const std::int64_t ldx = n + 3;
  const std::int64_t ldy = n + 5;
  std::vector<double> padded(static_cast<std::size_t>(ldx * columns), std::nan(""));
  std::vector<double> y(static_cast<std::size_t>(ldy * columns), -77.0);
  for (int c = 0; c < columns; ++c) std::copy_n(mine.begin() + c * n, n, padded.begin() + c * ldx);
  op.apply(padded.data(), ldx, y.data(), ldy, columns);
  std::vector<double> packed;
  for (int c = 0; c < columns; ++c) {
    packed.insert(packed.end(), y.begin() + c * ldy, y.begin() + c * ldy + n);
    for (std::int64_t i = n; i < ldy; ++i)
      EXPECT_EQ(y[static_cast<std::size_t>(c * ldy + i)], -77.0) << "written beyond the rows";
  }
  EXPECT_EQ(outside(gather_columns(packed, columns, rows, world()), dense.apply(x, columns, Precision::fp64)), "");
}

TEST(KernelOperator, CountersCountPasses) {
  const PointSet points = random_points(83, 3, 78);
  KernelOperator op = make_operator(points, options_of({{"beta", "1"}, {"form", "kernel"}}));
  const std::vector<double> x(83 * 70, 1.0);
  apply(op, x, 70);
  EXPECT_EQ(op.counters().calls, 1);
  EXPECT_EQ(op.counters().passes, 2);
  EXPECT_EQ(op.counters().column_passes, 70);
  op.density();
  EXPECT_EQ(op.counters().passes, 4) << "set-up costs two passes";
  op.degree();
  EXPECT_EQ(op.counters().passes, 4) << "set-up is made once";
  EXPECT_GE(world().sum(op.counters().ring.pairs), 4 * 0.5 * 83 * 83);
  EXPECT_GT(op.cost(1, Precision::fp64), 0);
  EXPECT_EQ(op.counters().passes, 4) << "cost is measured on tiles, not by passes";
}

TEST(KernelOperator, MeasureInPlace) {
  const PointSet points = random_points(90, 3, 81);
  std::vector<double> measure = random_numbers(90, 82);
  for (double &m : measure) m = 1.2 + m;
  const std::vector<double> x = random_numbers(90, 83);
  for (const char *form : forms) {
    SCOPED_TRACE(form);
    KernelOperator op = make_operator(points, options_of({{"beta", "1"}, {"alpha", "0.5"}, {"form", form}}));
    apply(op, x, 1);
    op.update_measure(local_columns(measure, 1, op.partition(), world().rank()));
    const DenseOperator dense(points, "gaussian:beta=1", 0.5, form_of(form), tile, measure);
    EXPECT_EQ(outside(apply(op, x, 1), dense.apply(x, 1, Precision::fp64)), "");
    EXPECT_EQ(outside(apply(op, x, 1, true), dense.apply(x, 1, Precision::fp64, true)), "") << "transposed";
    EXPECT_EQ(outside(whole(op, op.density()), dense.density()), "");
    EXPECT_EQ(outside(whole(op, op.degree()), dense.degree()), "");
  }
}

TEST(KernelOperator, WholeMeasuresAreCopiesOfPoints) {
  PointSet points = random_points(40, 2, 84);
  PointSet copies = points;
  std::vector<double> measure(40, 1.0);
  for (std::size_t i = 0; i < 40; i += 3) {
    measure[i] = 2;
    copies.rows.insert(copies.rows.end(), points.row(i), points.row(i) + 2);
  }
  KernelOperator weighted = make_operator(points, options_of({{"beta", "1"}}));
  weighted.update_measure(local_columns(measure, 1, weighted.partition(), world().rank()));
  KernelOperator copied = make_operator(copies, options_of({{"beta", "1"}}));
  const std::vector<double> one = whole(weighted, weighted.degree());
  const std::vector<double> other = whole(copied, copied.degree());
  for (std::size_t i = 0; i < 40; ++i) EXPECT_NEAR(one[i], other[i], 1e-13 * one[i]);
}

TEST(KernelOperator, PointsInPlace) {
  const PointSet before = random_points(90, 3, 85);
  PointSet after = random_points(90, 3, 86);
  for (double &x : after.rows) x += 4;  // the mean moves too
  const std::vector<double> x = random_numbers(90, 87);
  for (const char *pair : {"gaussian:beta=1", "inner_exp:s=0.4", "self_tuned", "local_mahalanobis:beta=1"})
    for (const char *precision : {"fp64", "fp32"}) {
      SCOPED_TRACE(std::string(pair) + " " + precision);
      KernelOperator op =
          make_operator(before, options_of({{"pair", pair}, {"form", "markov"}, {"precision", precision}}));
      apply(op, x, 1);
      const RowPartition rows = op.partition();
      const PointBlock block = with_lengths(local_block(after, rows, world().rank()), op.options().pair);
      op.update_points(block.rows(), block.point_scales());
      const DenseOperator dense(after, pair, 0.5, Form::markov, tile);
      const Precision working = std::string(precision) == "fp64" ? Precision::fp64 : Precision::fp32;
      EXPECT_EQ(outside(apply(op, x, 1), dense.apply(x, 1, working)), "");
      KernelOperator fresh = make_operator(after, op.options());
      EXPECT_EQ(apply(op, x, 1), apply(fresh, x, 1)) << "an updated operator differs from a new one";
    }
}

TEST(KernelOperator, LengthsOfPoints) {
  const PointSet points = random_points(60, 3, 88);
  const auto refusal = [&](PointBlock block, const std::string &pair) {
    return error_of([&] { const KernelOperator op(world(), options_of({{"pair", pair}}), std::move(block)); });
  };
  const RowPartition rows = RowPartition::contiguous(60, world().size());
  const PointBlock bare = local_block(points, rows, world().rank());
  const PointBlock with = with_lengths(bare, parse_pair("self_tuned"));
  EXPECT_NE(refusal(bare, "self_tuned").find("-point_scales FILE"), std::string::npos);
  EXPECT_NE(refusal(with, "gaussian:beta=1").find("reads no lengths"), std::string::npos);
  EXPECT_NE(refusal(with, "variable_bandwidth").find("variable_bandwidth:epsilon=VALUE"), std::string::npos);

  KernelOperator op(world(), options_of({{"pair", "self_tuned"}}), with);
  EXPECT_EQ(op.options().pair.length_unit, [&] {
    double least = 2;
    for (std::size_t i = 0; i < points.count(); ++i) least = std::min(least, length_of(points.row(i), 3));
    return least;
  }());
  // Three times the lengths and coordinates change nothing; lengths that do not come along stay.
  const std::vector<double> x = random_numbers(60, 92);
  const std::vector<double> y = apply(op, x, 1);
  const auto tripled = [](std::span<const double> values) {
    std::vector<double> all(values.begin(), values.end());
    for (double &value : all) value *= 3;
    return all;
  };
  const std::uint64_t before = op.fingerprint();
  const std::vector<double> long_ones = tripled(with.point_scales());
  op.update_points(bare.rows(), long_ones);
  EXPECT_NE(op.fingerprint(), before);
  op.update_points(tripled(bare.rows()));
  const Bounded expected = DenseOperator(points, "self_tuned", 0.5, Form::kernel, tile).apply(x, 1, Precision::fp64);
  EXPECT_EQ(outside(apply(op, x, 1), expected), "");
  EXPECT_EQ(outside(y, expected), "");
  std::vector<double> bad = long_ones;
  if (!bad.empty() && world().rank() == 0) bad[1] = 0;
  EXPECT_NE(error_of([&] { op.update_points(bare.rows(), bad); }).find("that of row 1 is 0"), std::string::npos);
  EXPECT_EQ(outside(apply(op, x, 1), expected), "") << "an error changed the lengths";
}

// Points A x with the covariance A A' for all are points x with a gaussian: q is the same number but for the roundings
// of A x and of the inverse, some 30u times the condition of A A', 20, of exponents up to 40.
TEST(KernelOperator, OneCovarianceForAllIsALinearMap) {
  const PointSet points = random_points(80, 3, 93);
  const double map[3][3] = {{1.5, 0.4, -0.2}, {0.1, 0.8, 0.3}, {-0.5, 0.2, 1.1}};
  PointSet mapped = points;
  std::vector<double> triangle;
  for (std::size_t i = 0; i < mapped.rows.size(); ++i) {
    mapped.rows[i] = 0;
    for (std::size_t k = 0; k < 3; ++k) mapped.rows[i] += map[i % 3][k] * points.rows[i - i % 3 + k];
  }
  for (std::size_t k = 0; k < 3; ++k)
    for (std::size_t l = 0; l <= k; ++l)
      triangle.push_back(map[k][0] * map[l][0] + map[k][1] * map[l][1] + map[k][2] * map[l][2]);
  const std::vector<double> x = random_numbers(80, 94);
  for (const char *backend : {"ref", "simd"}) {
    KernelOperator plain = make_operator(points, options_of({{"beta", "0.7"}, {"backend", backend}}));
    PointBlock block = local_block(mapped, plain.partition(), world().rank());
    std::vector<double> covariances;
    for (std::int64_t i = 0; i < block.local_rows(); ++i)
      covariances.insert(covariances.end(), triangle.begin(), triangle.end());
    block.set_point_scales(covariances, PointScale::covariance);
    KernelOperator op(world(), options_of({{"pair", "local_mahalanobis:beta=0.7"}, {"backend", backend}}), block);
    const std::vector<double> expected = apply(plain, x, 1);
    const std::vector<double> found = apply(op, x, 1);
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12) << backend << " row " << i;
  }
}

TEST(KernelOperator, CovariancesOfPoints) {
  const PointSet points = random_points(60, 3, 88);
  const auto refusal = [&](PointBlock block, const std::string &pair) {
    return error_of([&] { const KernelOperator op(world(), options_of({{"pair", pair}}), std::move(block)); });
  };
  const RowPartition rows = RowPartition::contiguous(60, world().size());
  const PointBlock bare = local_block(points, rows, world().rank());
  const PointBlock with = with_lengths(bare, parse_pair("local_mahalanobis:beta=1"));
  EXPECT_NE(refusal(bare, "local_mahalanobis:beta=1").find("-point_covariances FILE"), std::string::npos);
  EXPECT_NE(refusal(with, "gaussian:beta=1").find("reads no covariances"), std::string::npos);
  EXPECT_NE(refusal(with, "self_tuned").find("-point_scales FILE"), std::string::npos);
  EXPECT_NE(refusal(with, "local_mahalanobis").find("local_mahalanobis:beta=VALUE"), std::string::npos);
  const int many = most_covariance_features + 1;
  EXPECT_NE(refusal(local_block(random_points(60, many, 1), rows, world().rank()), "local_mahalanobis:beta=1")
                .find("covariances of at most 32 are taken"),
            std::string::npos);
  PointBlock block = bare;
  std::vector<double> bad(with.point_scales().begin(), with.point_scales().end());
  if (world().rank() == 0) bad[6 + 2] = 0;  // the second variance of row 1
  const std::string message =
      error_of([&] { world().agree([&] { block.set_point_scales(bad, PointScale::covariance); }); });
  EXPECT_NE(message.find("that of row 1: covariance: not positive definite"), std::string::npos) << message;
  const std::vector<double> whole = {2, 1, 1, 3, 5, 0.5, 0.5, 4};
  EXPECT_EQ(covariance_triangles(whole, 4, 2), (std::vector<double>{2, 1, 3, 5, 0.5, 4}));
  EXPECT_EQ(covariance_triangles(whole, 1, 1), whole);
  EXPECT_NE(error_of([&] { covariance_triangles(whole, 4, 3); }).find("give 9 for each point, the matrix, or 6"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              covariance_triangles({2, 1, 1.1, 3}, 4, 2, GlobalRow{7});
            }).find("of row 7: entry (1, 0)"),
            std::string::npos);

  // Coordinates twice as long with covariances four times as large change nothing, and these stay.
  KernelOperator op(world(), options_of({{"pair", "local_mahalanobis:beta=1"}}), with);
  const std::vector<double> x = random_numbers(60, 92);
  const std::vector<double> y = apply(op, x, 1);
  const auto times = [](std::span<const double> values, double factor) {
    std::vector<double> all(values.begin(), values.end());
    for (double &value : all) value *= factor;
    return all;
  };
  const std::uint64_t before = op.fingerprint();
  op.update_points(bare.rows(), times(with.point_scales(), 4));
  EXPECT_NE(op.fingerprint(), before);
  op.update_points(times(bare.rows(), 2));
  EXPECT_EQ(apply(op, x, 1), y) << "powers of two change no bit";
}

TEST(KernelOperator, UpdatesKeepTheBandwidth) {
  const PointSet points = random_points(60, 3, 88);
  KernelOperator op = make_operator(points, options_of({{"beta", "median"}}));
  const double beta = op.options().pair.parameters[0];
  EXPECT_GT(beta, 0);
  PointSet twice = points;
  for (double &x : twice.rows) x *= 2;
  op.update_points(local_block(twice, op.partition(), world().rank()).rows());
  EXPECT_EQ(op.options().pair.parameters[0], beta);
  KernelOperator wide = make_operator(twice, options_of({{"beta", "median"}}));
  EXPECT_NEAR(wide.options().pair.parameters[0], beta / 4, 1e-13 * beta);
}

TEST(KernelOperator, MedianSetsTheLengthOfOtherPairs) {
  const PointSet points = random_points(60, 3, 88);
  KernelOperator gaussian = make_operator(points, options_of({}));
  KernelOperator matern = make_operator(points, options_of({{"pair", "matern32"}}));
  const double median = 1 / (2 * gaussian.options().pair.parameters[0]);
  EXPECT_NEAR(matern.options().pair.parameters[0], std::sqrt(median), 1e-14);
  EXPECT_THROW(make_operator(points, options_of({{"pair", "inner_exp"}})), Error);
}

TEST(KernelOperator, BadInputOnOneRankThrowsOnAll) {
  const PointSet points = random_points(60, 3, 89);
  KernelOperator op = make_operator(points, options_of({{"beta", "1"}}));
  const PointBlock good = local_block(points, op.partition(), world().rank());
  std::vector<double> rows(good.rows().begin(), good.rows().end());
  const int last = world().size() - 1;
  if (world().rank() == last) rows[4] = std::nan("");
  const std::int64_t row = op.partition().global_row(last, LocalRow{1}).value;
  try {
    op.update_points(rows);
    ADD_FAILURE() << "NaN was taken";
  } catch (const Error &error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("rank " + std::to_string(last)), std::string::npos) << text;
    EXPECT_NE(text.find("row " + std::to_string(row)), std::string::npos) << text;
  }
  std::vector<double> measure(static_cast<std::size_t>(op.local_rows()), 1.0);
  if (world().rank() == 0) measure[0] = 0;
  EXPECT_THROW(op.update_measure(measure), Error);
  EXPECT_THROW(make_operator(points, options_of({{"beta", "1"}, {"backend", "abacus"}})), Error);
}

TEST(KernelOperator, LargeInnerProductsAreShifted) {
  // s <x,y> reaches 850 on a sphere: K overflows, the normalised operators do not.
  PointSet points = random_points(50, 4, 90);
  for (std::size_t i = 0; i < 50; ++i) {
    double norm = 0;
    for (std::size_t k = 0; k < 4; ++k) norm += points.rows[4 * i + k] * points.rows[4 * i + k];
    for (std::size_t k = 0; k < 4; ++k) points.rows[4 * i + k] *= std::sqrt(1700 / norm);
  }
  const char *pair = "inner_exp:s=0.5";
  const std::vector<double> x = random_numbers(50, 91);
  KernelOperator kernel = make_operator(points, options_of({{"pair", pair}, {"form", "kernel"}}));
  EXPECT_NEAR(kernel.log_shift(), 850, 1e-9);
  EXPECT_THROW(apply(kernel, x, 1), Error) << "entries beyond the largest number";
  for (const char *form : {"symmetric", "markov"}) {
    KernelOperator op = make_operator(points, options_of({{"pair", pair}, {"alpha", "0.5"}, {"form", form}}));
    const DenseOperator dense(points, pair, 0.5, form_of(form), tile);
    EXPECT_EQ(outside(apply(op, x, 1), dense.apply(x, 1, Precision::fp64)), "") << form;
    EXPECT_EQ(outside(whole(op, op.density()), dense.density(op.log_shift())), "") << form;
  }
}

}  // namespace
}  // namespace flashring::test
