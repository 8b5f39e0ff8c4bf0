// Threshold families on rows of scores: golden numbers of a dense program, derivatives by finite differences, limits,
// masks, storages, errors.
#include "flashring/threshold_rows.hpp"

#include <functional>
#include <numeric>

#include "flashring/check.hpp"
#include "support/error_of.hpp"
#include "support/golden.hpp"
#include "support/threshold_rows.hpp"
#include "support/world.hpp"
#include "threshold_kernels.hpp"

namespace flashring::test {
namespace {

TEST(ThresholdRows, TableOfSmallExamples) {
  const Numbers x = {1, .5, -.2, .1, -1.5};
  const Numbers g = {1, 2, 3, 4, 5};
  struct Row {
    double alpha, tau;
    Numbers p, dx;
    double parameter;
  };
  const std::vector<Row> table = {{.2,
                                   .042361105133,
                                   {.706850919691, .276570548028, 0, .016578532281, 0},
                                   {-.910349230475, .018746310848, 0, .891602919627, 0},
                                   1.131132255428},
                                  {.5,
                                   -.271514277487,
                                   {.595234280367, .271977141623, .029417147382, .103371430628, 0},
                                   {-.790101110079, -.012563991170, .167382264308, .635282836942, 0},
                                   1.052685440644},
                                  {.85,
                                   -.742103896548,
                                   {.467128367803, .260124870441, .103981420935, .156447949600, .012317391221},
                                   {-.569666014860, -.027991344625, .133181003561, .395110895037, .069365460888},
                                   1.101059115375}};
  // The table has 12 digits behind the point.
  for (const Row &row : table) {
    const Result result = run(make("diffmax", row.alpha), {1, 5, 1}, x, g);
    const double tau = (1 - row.alpha) * result.saved.row_maximum[0] - 1 + result.saved.t[0];
    EXPECT_NEAR(tau, row.tau, 6e-13);
    expect_near(result.p, row.p, 6e-13, "p");
    expect_near(result.dx, row.dx, 6e-13, "dx");
    EXPECT_NEAR(result.parameter[0], row.parameter, 6e-13);
  }
  const Result half = run(make("diffmax", .5, "none"), {1, 5, 1}, x);
  expect_near(half.p, {.8306295486617, .1692407465242, 0, .0001297048141, 0}, 6e-14, "none, alpha .5");
  EXPECT_NEAR(half.saved.row_maximum[0] - 1 + half.saved.t[0], .088611197862, 6e-13);
  const Result high = run(make("diffmax", .85, "none"), {1, 5, 1}, x);
  expect_near(high.p, {.9903459428275, .0096538617727, 0, 1.953998e-7, 0}, 6e-14, "none, alpha .85");
}

/// p of a row moves by u/sum u times the error of its sum, 8 epsilon, and by (1 + |ln p|) 4 roundings: 100 epsilon
/// cover both. Derivatives carry u, whose exponent e - 1 is 1/4 at least here, with y above 1e-3: 1e-3^(-3/4) times
/// more, and factors up to e^2 (scale none, 44): 1e-11.
TEST(ThresholdRows, GoldenNumbersOnEveryBackend) {
  const Numbers x = golden("threshold_scores").values;    // (7, 13), masked entries, a masked row, one entry, ties
  const Numbers g = golden("threshold_gradient").values;  // (7, 13)
  const Numbers all = golden("threshold_rows").values;    // (families, 7, 13 + 13 + 1): p, dx, parameter
  for (const std::string &backend : backends())
    for (std::size_t f = 0; f < families().size(); ++f) {
      ThresholdRowsOptions options = families()[f];
      options.backend = backend;
      options.parameters.assign(7, options.parameters[0]);  // one for each row
      const Result result = run(options, {7, 13, 1}, x, g);
      for (std::size_t r = 0; r < 7; ++r) {
        const auto at = all.begin() + static_cast<std::ptrdiff_t>((f * 7 + r) * 27);
        const auto row = [&](const Numbers &a) { return Numbers(a.begin() + r * 13, a.begin() + (r + 1) * 13); };
        const std::string what = name_of(options) + ", row " + std::to_string(r);
        expect_near(row(result.p), {at, at + 13}, 100 * epsilon, "p of " + what);
        expect_near(row(result.dx), {at + 13, at + 26}, 1e-11, "dx of " + what);
        expect_near({result.parameter.empty() ? 0 : result.parameter[r]}, {at[26]}, 1e-11, "parameter of " + what);
      }
    }
}

TEST(ThresholdRows, DerivativesAreThoseOfFiniteDifferences) {
  constexpr std::int64_t n = 11;
  const Numbers x = normals(n, 3);
  const Numbers g = normals(n, 4);
  for (ThresholdRowsOptions options : families()) {
    const auto loss = [&](const Numbers &at) {
      const Numbers p = run(options, {1, n, 1}, at).p;
      return std::inner_product(p.begin(), p.end(), g.begin(), 0.0);
    };
    const Result result = run(options, {1, n, 1}, x, g);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = slope([&](double h) {
        Numbers moved = x;
        moved[i] += h;
        return loss(moved);
      });
      EXPECT_NEAR(result.dx[i], exact, 1e-8) << name_of(options) << ", entry " << i;
    }
    const double value = options.parameters[0];
    if (result.parameter.empty() || value == 2) continue;  // beyond a = 2 there is no family
    const double exact = slope([&](double h) {
      options.parameters[0] = value + h;
      return loss(x);
    });
    EXPECT_NEAR(result.parameter[0], exact, 1e-8 * std::max(1.0, std::abs(exact))) << name_of(options);
  }
}

TEST(ThresholdRows, InvariancesAndOrder) {
  constexpr std::int64_t n = 40;
  Numbers x = normals(n, 5);
  for (double &value : x) value = std::round(value * 256) / 256;  // shifts by whole numbers are exact
  for (const ThresholdRowsOptions &options : families()) {
    const Numbers p = run(options, {1, n, 1}, x).p;
    EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), 1, 8 * epsilon) << name_of(options);
    EXPECT_GE(*std::min_element(p.begin(), p.end()), 0);
    Numbers shifted = x;
    for (double &value : shifted) value += 1024;
    EXPECT_EQ(run(options, {1, n, 1}, shifted).p, p) << name_of(options);
    Numbers reversed(x.rbegin(), x.rend());
    Numbers back = run(options, {1, n, 1}, reversed).p;
    std::reverse(back.begin(), back.end());
    expect_near(back, p, 100 * epsilon, "in another order, " + name_of(options));
    std::vector<std::pair<double, double>> entries;
    for (std::size_t i = 0; i < p.size(); ++i) entries.emplace_back(x[i], p[i]);
    std::sort(entries.begin(), entries.end());
    for (std::size_t i = 1; i < p.size(); ++i) EXPECT_GE(entries[i].second, entries[i - 1].second) << name_of(options);
  }
}

/// Entry k has a weight where the sum of (s (x_j - x_k))^e over the larger ones is below 1. Every base is then below 1,
/// too, and as alpha grows s does not grow and e does: the sum falls, and the entry stays.
TEST(ThresholdRows, LowerAlphaIsSparser) {
  constexpr std::int64_t n = 40;
  const Numbers x = normals(n, 20);
  for (const char *scale : {"tsallis", "porous", "none"}) {
    std::vector<std::ptrdiff_t> supports;
    for (const double alpha : {0.05, 0.2, 0.4, 0.6, 0.8, 0.95}) {
      const Numbers p = run(make("diffmax", alpha, scale), {1, n, 1}, x).p;
      supports.push_back(n - std::count(p.begin(), p.end(), 0));
    }
    EXPECT_TRUE(std::is_sorted(supports.begin(), supports.end())) << scale;
    EXPECT_LT(supports.front(), supports.back()) << scale;
  }
}

TEST(ThresholdRows, LimitsAndEqualFamilies) {
  constexpr std::int64_t n = 33;
  const Numbers x = normals(n, 6);
  const auto p = [&](const ThresholdRowsOptions &options) { return run(options, {1, n, 1}, x).p; };
  const auto at = [&](const std::string &op, double w) {
    ThresholdRowsOptions options = make(op, w);
    options.complements = true;
    return options;
  };
  EXPECT_EQ(p(make("diffmax", 0.25)), p(make("entmax", 1.75)));
  EXPECT_EQ(p(make("entmax", 2)), p(make("sparsemax", 0)));
  // |d p / d alpha| <= p ln^2 p / 2 + u/sum u times the sum of that over the row, 33 (2/e)^2 / 2 = 9 at most.
  expect_near(p(make("diffmax", 1 - 1e-8)), p(make("softmax", 0)), 1e-7, "alpha -> 1");
  // Near e = 1 it is p (1/y - 1 + ln y) with y above 1e-3 here.
  expect_near(p(make("diffmax", 1e-9)), p(make("sparsemax", 0)), 1e-6, "alpha -> 0");
  EXPECT_EQ(p(at("diffmax", 0)), p(make("softmax", 0)));
  EXPECT_EQ(p(at("entmax", 1e-300)), p(make("softmax", 0)));
  expect_near(p(at("diffmax", 0x1p-70)), p(make("softmax", 0)), 100 * epsilon, "just above the limit");
  Numbers soft;
  double sum = 0;
  for (const double value : x) soft.push_back(std::exp(value)), sum += soft.back();
  for (double &value : soft) value /= sum;
  expect_near(p(make("softmax", 0)), soft, 100 * epsilon, "softmax");
  // alpha -> 1 of scale none: one-hot; of porous: softmax, alpha -> 0: sparsemax(x/2).
  EXPECT_NEAR(*std::max_element(soft.begin(), soft.end()) > 0
                  ? p(make("diffmax", 1 - 1e-6, "none"))[std::max_element(x.begin(), x.end()) - x.begin()]
                  : 0,
              1, 1e-9);
  expect_near(p(make("diffmax", 1 - 1e-8, "porous")), soft, 1e-6, "porous, alpha -> 1");
  Numbers half = x;
  for (double &value : half) value /= 2;
  expect_near(p(make("diffmax", 1e-9, "porous")), run(make("sparsemax", 0), {1, n, 1}, half).p, 1e-6, "porous");
}

TEST(ThresholdRows, DerivativeAtTheSoftmaxLimitIsFinite) {
  constexpr std::int64_t n = 9;
  const Numbers x = normals(n, 7);
  const Numbers g = normals(n, 8);
  ThresholdRowsOptions options = make("diffmax", 0);
  options.complements = true;
  const Result limit = run(options, {1, n, 1}, x, g);
  double expected = 0;
  double mean = 0;
  for (std::size_t i = 0; i < x.size(); ++i) mean += limit.p[i] * g[i];
  for (std::size_t i = 0; i < x.size(); ++i)
    expected += 0.5 * limit.p[i] * std::log(limit.p[i]) * std::log(limit.p[i]) * (g[i] - mean);
  EXPECT_NEAR(limit.parameter[0], expected, 1e-13);
  for (const double w : {1e-5, 1e-10, 1e-20}) {  // the next term of r is w p ln^3 p / 6
    options.parameters = {w};
    EXPECT_NEAR(run(options, {1, n, 1}, x, g).parameter[0], expected, 40 * w + 1e-13) << w;
  }
}

TEST(ThresholdRows, MaskedTiedAndFarEntries) {
  for (const std::string &backend : backends())
    for (ThresholdRowsOptions options : families()) {
      options.backend = backend;
      const Numbers x = {-infinity, -infinity, -infinity, -infinity, 3,         -infinity, 0.5,   0.5,
                         0.5,       1e30,      1e30,      -1e30,     -infinity, 1e9,       -1e300};
      const Result result = run(options, {5, 3, 1}, x, Numbers(15, infinity));  // g of masked entries is not read
      const Numbers expected = {0, 0, 0, 0, 1, 0, 1. / 3, 1. / 3, 1. / 3, .5, .5, 0, 0, 1, 0};
      expect_near(result.p, expected, 8 * epsilon, name_of(options));
      for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(result.dx[i], 0) << name_of(options);
      EXPECT_EQ(result.p[6], result.p[7]);
      EXPECT_EQ(result.saved.row_maximum[0], -infinity);
      EXPECT_EQ(result.metrics.rows, 4);
    }
}

TEST(ThresholdRows, ErrorsNameRowAndParameter) {
  Numbers x = normals(12, 9);
  for (const double bad : {infinity, std::nan("")}) {
    x[7] = bad;
    for (const std::string &backend : backends()) {
      ThresholdRowsOptions options = make("entmax", 1.5);
      options.backend = backend;
      EXPECT_NE(error_of([&] { run(options, {4, 3, 1}, x); }).find("row 2 "), std::string::npos);
      EXPECT_NE(error_of([&] {
                  run(options, {2, 3, 2}, x);
                }).find("row 3 of the scores (outer 1, inner 1)"),
                std::string::npos);
    }
  }
  const auto error = [](const ThresholdRowsOptions &options) {
    return error_of([&] { ThresholdRows({4, 3, 1}, options); });
  };
  for (const double alpha : {0.0, 1.0, -1.0, 2.0, static_cast<double>(NAN)})
    EXPECT_NE(error(make("diffmax", alpha)).find("must be in (0, 1)"), std::string::npos) << alpha;
  for (const double a : {1.0, 2.1, static_cast<double>(NAN)})
    EXPECT_NE(error(make("entmax", a)).find("must be in (1, 2]"), std::string::npos) << a;
  EXPECT_NE(error(make("hardmax", 0.5)).find("diffmax, entmax"), std::string::npos);
  EXPECT_NE(error(make("diffmax", 0.5, "fast")).find("porous"), std::string::npos);
  ThresholdRowsOptions options = make("diffmax", 0.5);
  options.parameters = {0.5, 0.5, 0.5};
  EXPECT_NE(error(options).find("do not fit 4 rows"), std::string::npos);
  options = make("diffmax", 0.5);
  options.backend = "amx";
  EXPECT_NE(error(options).find("ref"), std::string::npos);
  options = make("diffmax", 0, "none");
  options.complements = true;
  EXPECT_NE(error(options).find("tsallis"), std::string::npos);
}

TEST(ThresholdRows, Fp32IsWithinItsRoundings) {
  constexpr double unit = 0x1p-24;
  constexpr std::int64_t n = 501;
  Numbers x = normals(3 * n, 10);
  std::vector<float> low(x.begin(), x.end());
  std::copy(low.begin(), low.end(), x.begin());
  for (const std::string &backend : backends())
    for (ThresholdRowsOptions options : families()) {
      options.backend = backend;
      const Numbers exact = run(options, {3, n, 1}, x).p;
      ThresholdRows rows({3, n, 1}, options);
      std::vector<float> p(low.size());
      rows.forward(low.data(), Storage::fp32, p.data());
      const ThresholdFamily family = threshold_family(options.op, options.parameters[0], options.family_scale);
      for (std::size_t i = 0; i < p.size(); ++i)
        ASSERT_NEAR(p[i], exact[i], fp32_bound(family, exact[i])) << name_of(options) << ", entry " << i;
      EXPECT_LE(rows.metrics().sum_error, 24 * unit) << name_of(options);
    }
}

int divided_rows = 0;
void count_divided(const ThresholdRow<double> &row, const ThresholdFamily &family, double factor, double *p) {
  if (factor != 1) ++divided_rows;
  find_threshold_backend("ref").fp64.weights(row, family, factor, p);
}

/// Some sums of twenty rows are off 1 by a rounding, for which their weights are divided, or not.
TEST(ThresholdRows, WeightsAreDividedWhereAsked) {
  ThresholdBackend table = find_threshold_backend("ref");
  table.fp64.weights = count_divided;
  ThresholdRowsOptions options = make("diffmax", .7);
  options.kernels = &table;
  for (const bool asked : {true, false}) {
    options.ensure_sum_one = asked;
    divided_rows = 0;
    run(options, {20, 50, 1}, normals(1000, 19));
    EXPECT_EQ(divided_rows > 0, asked);
  }
}

TEST(ThresholdRows, SixteenBitStoragesAreWorkedWithInFp32) {
  constexpr std::int64_t n = 130;
  Numbers x = normals(n, 11);
  for (double &value : x) value = std::round(value * 32) / 32;  // 7 bits at most: exact in both
  for (const Storage storage : {Storage::bf16, Storage::fp16}) {
    std::vector<std::uint16_t> low(x.size());
    store_numbers(x.data(), n, low.data(), storage, 0, 1);
    std::vector<float> loaded(x.size());
    load_numbers(low.data(), storage, 0, 1, n, loaded.data());
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(loaded[i], static_cast<float>(x[i]));
    ThresholdRows rows({1, n, 1}, make("entmax", 1.5));
    std::vector<float> p(x.size());
    rows.forward(loaded.data(), Storage::fp32, p.data());
    std::vector<std::uint16_t> expected(x.size());
    store_numbers(p.data(), n, expected.data(), storage, 0, 1);
    rows.forward(low.data(), storage, low.data());
    EXPECT_EQ(low, expected) << storage_name(storage);
  }
}

}  // namespace
}  // namespace flashring::test
