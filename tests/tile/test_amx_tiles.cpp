// Tiles of backend amx against the long double oracle, on the emulated unit everywhere and on the hardware where there
// is one: pair functions x row rules x fp32, reduced x features x columns x sides, masks with 64-bit rows. (The tests
// that run over all backends cover it too: test_conformance and test_tile_calls with full tiles, the latter in all
// precisions.)
//
// fp32 must hold the bounds of support/tolerance.hpp like any backend. For reduced the error of the unit's products
// takes the place of roundings, as Backend::error states it for the two points.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "amx/bf16.hpp"
#include "support/amx_units.hpp"
#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/stated.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Rows of the two sides: ragged tiles, one of a single row. Some points of both sides coincide.
const std::vector<int> own_counts = {70, 33};
const std::vector<int> visiting_counts = {65, 1, 30};
constexpr std::size_t own_rows = 103;
constexpr std::size_t visiting_rows = 96;

struct Problem {
  Problem(const std::string &name, const std::string &text, RowKind row, Precision precision, int d, int columns,
          Mask mask = {}, std::int64_t own_first = 0, std::int64_t visiting_first = 1000)
      : backend(find_backend(name)),
        shape{parse_pair(text), row, 0, precision, d, columns, mask},
        own_points(random_points(own_rows, d, 31)),
        visiting_points(with_twins(own_points, d)),
        own(backend, shape, own_points, make_tile_list(own_first, own_counts)),
        visiting(backend, shape, visiting_points, make_tile_list(visiting_first, visiting_counts)),
        own_values(random_numbers(own_rows * static_cast<std::size_t>(columns), 33)),
        visiting_values(random_numbers(visiting_rows * static_cast<std::size_t>(columns), 34)),
        own_weights(random_numbers(own_rows, 35)),
        visiting_weights(random_numbers(visiting_rows, 36)) {
    give();
  }

  static PointSet with_twins(const PointSet &points, int d) {
    PointSet set = random_points(visiting_rows, d, 32);
    std::copy_n(points.row(3), d, set.rows.begin() + 7 * d);
    return set;
  }

  void give() {
    if (shape.columns > 0) own.set_columns(own_values);
    if (shape.columns > 0) visiting.set_columns(visiting_values);
    if (row_rule(shape.row).scalars > 0) own.set_log_weights(own_weights);
    if (row_rule(shape.row).scalars > 0) visiting.set_log_weights(visiting_weights);
  }

  void run(Sides sides, bool masked) {
    own.reset_state();
    visiting.reset_state();
    evaluate(backend, shape, own, visiting, all_pairs(own, visiting, sides, masked));
  }

  /// The last table is kept: points depend on the number of features alone, and lists change it last.
  const PairTable &plain_table(const std::string &text) const {
    static std::string last;
    static PairTable kept;
    const std::string now = text + " d=" + std::to_string(shape.features);
    if (now != last) kept = make_table(oracle_pair(text), own_points, visiting_points);
    last = now;
    return kept;
  }

  PairTable table(const std::string &text) const {
    const OraclePair pair = oracle_pair(text);
    PairTable t = plain_table(text);
    if (shape.precision == Precision::reduced) {
      const std::vector<int> single_own(own_rows, 1);
      const std::vector<int> single_visiting(visiting_rows, 1);
      t = with_stated_errors(t, pair, tile_norms(own_points, make_tile_list(0, single_own)),
                             tile_norms(visiting_points, make_tile_list(0, single_visiting)), backend.error(shape),
                             unit_roundoff(Precision::fp32));
    }
    hide(t, own.global_rows(), visiting.global_rows(), shape.mask.causal, shape.mask.exclude_self);
    return t;
  }

  Bounded expected(const PairTable &t, bool of_own) const {
    const Arithmetic a = arithmetic(Precision::fp32, backend.tile_rows);
    const std::vector<double> &values = of_own ? visiting_values : own_values;
    const std::vector<double> &weights = of_own ? visiting_weights : own_weights;
    return shape.row == RowKind::sum ? oracle_sum(t, values, shape.columns, a)
                                     : oracle_log_sum_exp(t, weights, values, shape.columns, a);
  }

  /// All sides against the oracle.
  void check(const std::string &text, bool masked) {
    const PairTable t = table(text);
    const Bounded of_own = expected(t, true);
    const Bounded of_visiting = expected(transposed(t), false);
    for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
      SCOPED_TRACE("sides " + std::to_string(static_cast<int>(sides)));
      run(sides, masked);
      if (has_own(sides)) compare(own, of_own);
      if (has_visiting(sides)) compare(visiting, of_visiting);
    }
  }
  void compare(const TileArrays &arrays, const Bounded &bounded) {
    const std::vector<double> value = arrays.finish();
    EXPECT_EQ(outside(value, bounded), "");
    worst = std::max(worst, worst_ratio(value, bounded));
  }

  const Backend &backend;
  TileShape shape;
  PointSet own_points, visiting_points;
  TileArrays own, visiting;
  std::vector<double> own_values, visiting_values, own_weights, visiting_weights;
  double worst = 0;
};

bool on_unit(const std::string &pair, int d) {
  return d > 8 && traits(parse_pair(pair).kind).accumulate != Accumulate::difference;
}

std::string describe(const std::string &text, RowKind row, Precision precision, int d, int columns) {
  return text + " " + row_rule(row).name + (precision == Precision::fp32 ? " fp32" : " reduced") +
         " d=" + std::to_string(d) + " columns=" + std::to_string(columns);
}

class Amx : public AmxUnits {
 protected:
  template <class Use>
  static void for_shapes(const std::vector<int> &features, const std::vector<int> &columns, const Use &use) {
    for (const std::string &pair : all_pair_names())
      for (const int d : features)
        for (const RowKind row : {RowKind::sum, RowKind::logsumexp})
          for (const Precision precision : {Precision::fp32, Precision::reduced})
            for (const int c : columns) {
              const std::string text = spread_pair(pair, d);
              SCOPED_TRACE(describe(text, row, precision, d, c));
              use(std::string(pair), text, row, precision, d, c);
            }
  }
};

TEST_P(Amx, Conformance) {
  double worst[2] = {};
  for_shapes({16, 31, 33, 64, 193}, {5, 32, 64},
             [&](const std::string &pair, const std::string &text, RowKind row, Precision precision, int d, int c) {
               if (!on_unit(pair, d)) return;
               Problem problem(name(), text, row, precision, d, c);
               problem.check(text, false);
               double &w = worst[precision == Precision::fp32 ? 0 : 1];
               w = std::max(w, problem.worst);
             });
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
    std::printf("largest error in units of its bound: fp32 %.3f, reduced %.3f\n", worst[0], worst[1]);
}

// Columns below, at and above one width of the unit and above two, and the most that a rule takes; 9 features of a
// register's 32, and 16 registers and one feature more.
TEST_P(Amx, WidthsOfColumnsAndFeatures) {
  for (const auto &[d, columns] :
       std::vector<std::pair<int, std::vector<int>>>{{9, {15, 16, 17, 33, 128}}, {513, {1, 17}}})
    for (const char *pair : {"gaussian", "inner_exp"})
      for (const RowKind row : {RowKind::sum, RowKind::logsumexp})
        for (const Precision precision : {Precision::fp32, Precision::reduced})
          for (const int c : columns) {
            if (row == RowKind::sum && c > max_columns) continue;
            const std::string text = spread_pair(pair, d);
            SCOPED_TRACE(describe(text, row, precision, d, c));
            Problem(name(), text, row, precision, d, c).check(text, false);
          }
}

TEST_P(Amx, OtherShapesAreThoseOfSimd) {
  for_shapes({1, 3, 8, 33}, {1, 5, 32},
             [&](const std::string &pair, const std::string &text, RowKind row, Precision precision, int d, int c) {
               if (on_unit(pair, d)) return;
               Problem problem(name(), text, row, precision, d, c);
               Problem other("simd", text, row, precision, d, c);
               problem.run(Sides::both, false);
               other.run(Sides::both, false);
               EXPECT_EQ(problem.own.state().copy(), other.own.state().copy());
               EXPECT_EQ(problem.visiting.state().copy(), other.visiting.state().copy());
             });
}

TEST_P(Amx, MasksCompareRowsOf64Bits) {
  const std::int64_t base = (std::int64_t{1} << 33) + 7;
  const auto check = [&](RowKind row, Precision precision, int columns, Mask mask, std::int64_t offset) {
    const std::string text = spread_pair("gaussian", 33);
    SCOPED_TRACE(describe(text, row, precision, 33, columns) + " visiting rows start " + std::to_string(offset) +
                 " after own rows");
    Problem(name(), text, row, precision, 33, columns, mask, base, base + offset).check(text, true);
  };
  for (const RowKind row : {RowKind::sum, RowKind::logsumexp})
    for (const Precision precision : {Precision::fp32, Precision::reduced})
      for (const int columns : {1, 32})
        for (const Mask mask : {Mask{true, false}, Mask{false, true}, Mask{true, true}})
          for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{11}, std::int64_t{1} << 32})
            check(row, precision, columns, mask, offset);
}

TEST_P(Amx, RowsOfEqualNumberAreNotTakenForOnePoint) {
  // Two sets, both counted from 0: only row 3 of the own points is a visiting point too, under another number.
  for (const Precision precision : {Precision::fp32, Precision::reduced}) {
    const std::string text = spread_pair("matern32", 20);
    Problem(name(), text, RowKind::sum, precision, 20, 5, {}, 0, 0).check(text, false);
  }
}

TEST_P(Amx, UnusualNumbers) {
  const auto check = [this](const std::string &text, RowKind row, double size) {
    SCOPED_TRACE(text);
    for (const int c : {5, 32}) {
      Problem problem(name(), text, row, Precision::fp32, 16, c);
      for (double &g : problem.visiting_weights) g *= size;
      for (std::size_t j = 0; j < visiting_rows; j += 3) problem.visiting_weights[j] = -infinity;
      problem.give();
      problem.check(text, false);
    }
  };
  check("gaussian:beta=3000", RowKind::sum, 1);  // weights below the smallest number: sums vanish, log-sum-exp does not
  check("gaussian:beta=3000", RowKind::logsumexp, 1);
  check("gaussian:beta=0.2", RowKind::logsumexp, 1e4);  // exp overflows and underflows
  check("inner_exp:s=-0.8", RowKind::sum, 1);
  check("inner_exp:s=-0.8", RowKind::logsumexp, 1);
}

/// K of the first rows of one set with itself, by unit columns. Returns own sums, then visiting sums: (rows, c) each.
std::vector<std::vector<double>> matrix_of_one_set(const std::string &name, const std::string &text,
                                                   Precision precision, int d, int columns, std::int64_t shift) {
  const std::size_t rows = 75;
  const Backend &backend = find_backend(name);
  const TileShape shape{parse_pair(text), RowKind::sum, 0, precision, d, columns, {}};
  const PointSet points = random_points(rows, d, 41);
  TileArrays own(backend, shape, points, make_tile_list(0, {75}));
  TileArrays visiting(backend, shape, points, make_tile_list(shift, {75}));
  std::vector<double> unit(rows * static_cast<std::size_t>(columns), 0.0);
  for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c) unit[c * rows + c] = 1;
  own.set_columns(unit);
  visiting.set_columns(unit);
  evaluate(backend, shape, own, visiting, all_pairs(own, visiting, Sides::both, false));
  return {own.finish(), visiting.finish()};
}

TEST_P(Amx, OnePointWithItselfIsOneAndBothOrdersAreEqual) {
  for (const char *pair : {"gaussian", "matern32", "matern52", "rational_quadratic"})
    for (const Precision precision : {Precision::fp32, Precision::reduced})
      for (const int d : {16, 65})
        for (const int columns : {5, 32}) {
          SCOPED_TRACE(describe(pair, RowKind::sum, precision, d, columns));
          const auto k = matrix_of_one_set(name(), spread_pair(pair, d), precision, d, columns, 0);
          const auto at = [&](int i, int j) { return k[0][static_cast<std::size_t>(j * 75 + i)]; };
          for (int i = 0; i < columns; ++i)
            for (int j = 0; j < columns; ++j) ASSERT_EQ(at(i, j), i == j ? 1 : at(j, i)) << i << "," << j;
          EXPECT_EQ(k[0], k[1]) << "own and visiting sums of a symmetric matrix";
        }
}

TEST_P(Amx, OnePointUnderTwoNumbersIsNearlyOne) {
  const int d = 40;
  for (const Precision precision : {Precision::fp32, Precision::reduced}) {
    const auto k = matrix_of_one_set(name(), spread_pair("gaussian", d), precision, d, 5, 4);
    const TileShape shape{parse_pair(spread_pair("gaussian", d)), RowKind::sum, 0, precision, d, 5, {}};
    const TileError stated = find_backend(name()).error(shape);
    for (std::size_t i = 0; i < 5; ++i) {
      const double norms = 2 * 3.0 * std::log2(std::exp(1.0));  // beta |x|^2 log2 e <= 3/d d for both points
      EXPECT_LE(k[0][i * 75 + i], 1 + stated.weight);
      EXPECT_GE(k[0][i * 75 + i], 1 - stated.argument * norms - stated.weight);
    }
  }
}

/// Sums by the plain computation in bf16: rounded features, norms of the true ones, everything else in double.
std::vector<double> plain_sums(const PointSet &own, const PointSet &visiting, const std::vector<double> &x, int columns,
                               double beta) {
  const auto round = [](double value) { return double{amx::from_bf16(amx::to_bf16(static_cast<float>(value)))}; };
  std::vector<double> sums(own.count() * static_cast<std::size_t>(columns), 0.0);
  for (std::size_t i = 0; i < own.count(); ++i)
    for (std::size_t j = 0; j < visiting.count(); ++j) {
      double q = 0;
      for (std::size_t k = 0; k < static_cast<std::size_t>(own.features); ++k) {
        const double a = own.row(i)[k] * std::sqrt(beta);
        const double b = visiting.row(j)[k] * std::sqrt(beta);
        q += a * a + b * b - 2 * round(a) * round(b);
      }
      const double weight = std::exp(-std::max(q, 0.0));
      for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
        sums[c * own.count() + i] +=
            columns < 16 ? weight * x[c * visiting.count() + j] : round(weight) * round(x[c * visiting.count() + j]);
    }
  return sums;
}

TEST_P(Amx, ReducedIsAtMostTwiceAsFarOffAsThePlainComputation) {
  for (const int d : {16, 64})
    for (const int columns : {5, 32}) {
      const std::string text = spread_pair("gaussian", d);
      Problem problem(name(), text, RowKind::sum, Precision::reduced, d, columns);
      problem.run(Sides::own, false);
      const std::vector<double> sums = problem.own.finish();
      const std::vector<double> plain =
          plain_sums(problem.own_points, problem.visiting_points, problem.visiting_values, columns, 3.0 / d);
      const Bounded exact = problem.expected(problem.table(text), true);
      double largest = 0;
      double largest_plain = 0;
      for (std::size_t i = 0; i < sums.size(); ++i) {
        largest = std::max(largest, static_cast<double>(std::abs(sums[i] - exact.value[i])));
        largest_plain = std::max(largest_plain, static_cast<double>(std::abs(plain[i] - exact.value[i])));
      }
      EXPECT_LE(largest, 2 * largest_plain) << "d=" << d << " columns=" << columns;
      if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
        std::printf("reduced, d=%d, columns=%d: error %.2e, plain %.2e\n", d, columns, largest, largest_plain);
    }
}

INSTANTIATE_TEST_SUITE_P(Unit, Amx, amx_units, unit_name);

}  // namespace
}  // namespace flashring::test
