// Threshold families on rows of scores: golden numbers of a dense program, derivatives by finite differences, limits,
// masks, storages, splits, and bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flashring/check.hpp"
#include "flashring/random.hpp"
#include "flashring/threshold_rows.hpp"
#include "flashring/tile.hpp"
#include "support/golden.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

using Numbers = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double epsilon = std::numeric_limits<double>::epsilon();

ThresholdRowsOptions make(const std::string &op, double parameter, const std::string &scale = "tsallis") {
  ThresholdRowsOptions options;
  options.op = op;
  options.parameters = {parameter};
  options.family_scale = scale;
  options.threads = 1;
  return options;
}

struct Result {
  Numbers p, dx, parameter;
  ThresholdSaved saved;
  ThresholdMetrics metrics;
};

/// Forward, and backward where there is a g, in fp64.
Result run(const ThresholdRowsOptions &options, RowsShape shape, const Numbers &x, const Numbers &g = {}) {
  ThresholdRows rows(shape, options);
  Result result;
  result.p.resize(x.size());
  result.saved = rows.forward(x.data(), Storage::fp64, result.p.data());
  result.dx.resize(g.size());
  if (!g.empty()) result.parameter = rows.backward(x.data(), result.saved, g.data(), Storage::fp64, result.dx.data());
  result.metrics = rows.metrics();
  return result;
}

Numbers normals(std::int64_t count, std::uint64_t seed, double factor = 1) {
  Numbers x;
  for (std::int64_t i = 0; i < count; ++i)
    x.push_back(factor * random_normal(seed, RandomStream::points, static_cast<std::uint64_t>(i)));
  return x;
}

void expect_near(const Numbers &got, const Numbers &expected, double tolerance, const std::string &what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << what << ", number " << i;
}

std::string error_of(const std::function<void()> &work) {
  try {
    work();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

const std::vector<ThresholdRowsOptions> &families() {
  static const std::vector<ThresholdRowsOptions> all = {make("diffmax", 0.2),
                                                        make("diffmax", 0.5),
                                                        make("diffmax", 0.85),
                                                        make("diffmax", 0.999),
                                                        make("diffmax", 0.5, "none"),
                                                        make("diffmax", 0.85, "none"),
                                                        make("diffmax", 0.3, "porous"),
                                                        make("diffmax", 0.9, "porous"),
                                                        make("entmax", 1.5),
                                                        make("entmax", 1.2),
                                                        make("entmax", 2),
                                                        make("sparsemax", 0)};
  return all;
}

std::string name_of(const ThresholdRowsOptions &options) {
  return options.op + " " + std::to_string(options.parameters[0]) + " " + options.family_scale + " on " +
         options.backend;
}

/// Every backend with kernels of rows that this machine has.
std::vector<std::string> backends() {
  std::vector<std::string> names;
  for (const std::string &name : backend_names())
    if (name.starts_with("ref") || name.starts_with("simd")) names.push_back(name);
  return names;
}

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

/// Differences over five places err by h^4 f''''' / 30, 1e-16 f''''' with h = 1e-4, and by epsilon / h = 2e-12.
double slope(const std::function<double(double)> &f) {
  constexpr double h = 1e-4;
  return (f(-2 * h) - 8 * f(-h) + 8 * f(h) - f(2 * h)) / (12 * h);
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
    for (std::size_t i = 1; i < p.size(); ++i) EXPECT_TRUE(x[i] < x[0] ? p[i] <= p[0] : p[i] >= p[0]);
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

/// fp32 against fp64, u = 2^-24. The score z errs by 3 |z| u (difference, s, product), y by 3 u more (t, 1 - t, sum),
/// and |z| is at most 1 on the support, or near |ln p| / e; p takes e times the weight u of that, and by its
/// normalisation not more than the same again; the powers themselves 4 (1 + |ln p|) u, the division 2 u.
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
      for (std::size_t i = 0; i < p.size(); ++i) {
        const double power = exact[i] > 0 ? std::pow(exact[i], family.e_minus_1 / family.e) : 1;
        const double log_p = exact[i] > 0 ? std::abs(std::log(exact[i])) : 0;
        const double y_error = 6 * unit * std::min(1.0, (1 + log_p) / family.e);
        const double bound =
            2 * family.e * power * y_error + (6 + 4 * log_p) * unit * exact[i] + (exact[i] > 0 ? 0 : 12 * unit);
        ASSERT_NEAR(p[i], exact[i], bound) << name_of(options) << ", entry " << i;
      }
      EXPECT_LE(rows.metrics().sum_error, 24 * unit) << name_of(options);
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

TEST(Storage, SixteenBitNumbersSurviveAndRoundToEven) {
  for (const Storage storage : {Storage::bf16, Storage::fp16}) {
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const auto word = static_cast<std::uint16_t>(bits);
      float value = 0;
      load_numbers(&word, storage, 0, 1, 1, &value);
      std::uint16_t back = 0;
      store_numbers(&value, 1, &back, storage, 0, 1);
      ASSERT_TRUE(std::isnan(value) || back == word) << storage_name(storage) << " " << bits;
    }
    const float unit = storage == Storage::bf16 ? 0x1p-7F : 0x1p-10F;  // of 1 ... 2
    const std::vector<float> between = {1 + unit / 2, 1 + 3 * unit / 2, 1 + unit * 0.51F, -(1 + unit / 2)};
    std::vector<std::uint16_t> stored(4);
    store_numbers(between.data(), 4, stored.data(), storage, 0, 1);
    Numbers rounded(4);
    load_numbers(stored.data(), storage, 0, 1, 4, rounded.data());
    EXPECT_EQ(rounded, (Numbers{1, 1 + 2 * unit, 1 + unit, -1})) << storage_name(storage);
  }
  const std::vector<float> large = {65519, 65520, 0x1p-25F, 0x1.8p-24F};
  std::vector<std::uint16_t> stored(4);
  store_numbers(large.data(), 4, stored.data(), Storage::fp16, 0, 1);
  Numbers back(4);
  load_numbers(stored.data(), Storage::fp16, 0, 1, 4, back.data());
  EXPECT_EQ(back, (Numbers{65504, infinity, 0, 0x1p-23}));
}

TEST(ThresholdRows, AnyDimensionAndThreadsGiveTheSameBits) {
  constexpr std::int64_t outer = 3;
  constexpr std::int64_t n = 70;
  constexpr std::int64_t inner = 21;
  const Numbers x = normals(outer * n * inner, 12);
  const Numbers g = normals(outer * n * inner, 13);
  Numbers rows_x(x.size());
  Numbers rows_g(x.size());
  const auto place = [](std::int64_t o, std::int64_t k, std::int64_t i) {
    return static_cast<std::size_t>((o * n + k) * inner + i);
  };
  const auto row_place = [](std::int64_t o, std::int64_t k, std::int64_t i) {
    return static_cast<std::size_t>((o * inner + i) * n + k);
  };
  const auto for_each = [&](const auto &body) {
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t k = 0; k < n; ++k)
        for (std::int64_t i = 0; i < inner; ++i) body(place(o, k, i), row_place(o, k, i));
  };
  for_each([&](std::size_t a, std::size_t b) { rows_x[b] = x[a], rows_g[b] = g[a]; });
  ThresholdRowsOptions options = make("diffmax", 0.7);
  options.parameters = {0.3, 0.5, 0.8};  // groups of 7 rows
  options.rows_per_group = 7;
  const Result whole = run(options, {outer * inner, n, 1}, rows_x, rows_g);
  Numbers parameter(3);
  for (std::int64_t r = 0; r < outer * inner; ++r) {
    const auto group = static_cast<std::size_t>(r / 7 % 3);
    const auto row = [&](const Numbers &a) { return Numbers(a.begin() + r * n, a.begin() + (r + 1) * n); };
    const Result alone = run(make("diffmax", options.parameters[group]), {1, n, 1}, row(rows_x), row(rows_g));
    EXPECT_EQ(row(whole.p), alone.p) << r;
    parameter[group] += alone.parameter[0];
  }
  EXPECT_EQ(whole.parameter, parameter);
  for (const int threads : {1, 2, 3}) {
    options.threads = threads;
    const Result strided = run(options, {outer, n, inner}, x, g);
    EXPECT_EQ(strided.parameter, whole.parameter);
    EXPECT_EQ(strided.saved.t, whole.saved.t);
    for_each([&](std::size_t a, std::size_t b) {
      ASSERT_EQ(strided.p[a], whole.p[b]);
      ASSERT_EQ(strided.dx[a], whole.dx[b]);
    });
  }
}

TEST(ThresholdRows, RowsOfAnyLengthAgreeWithTheReference) {
  for (const std::int64_t n : {1, 2, 7, 8, 9, 16, 17, 31, 63, 64, 65, 127, 1000, 40000}) {
    const Numbers x = normals(n, 14, 2);
    const Numbers g = normals(n, 15);
    for (ThresholdRowsOptions options : {make("diffmax", 0.85), make("entmax", 1.5), make("softmax", 0)}) {
      options.backend = "ref";
      const Result expected = run(options, {1, n, 1}, x, g);
      options.backend = "auto";
      const Result result = run(options, {1, n, 1}, x, g);
      expect_near(result.p, expected.p, 100 * epsilon, name_of(options) + ", n " + std::to_string(n));
      expect_near(result.dx, expected.dx, 1e-12, name_of(options) + ", n " + std::to_string(n));
      EXPECT_LE(result.metrics.iterations, 12);
    }
  }
}

/// Near equal scores, near one score, near softmax and near sparsemax: few iterations, and a sum of 1. Each p errs by
/// 4 (1 + |ln p|) u in the same direction at worst, |ln p| at most ln 4000 where p counts: 40 u, fp64 with 1 - t a
/// difference of numbers near 1, n^(1/e) more.
TEST(ThresholdRows, SumsAreOneForAnyFamilyAndSpread) {
  for (int k = 0; k < 400; ++k) {
    const auto draw = [&](std::uint64_t which) {
      return random_uniform(18, RandomStream::points, static_cast<std::uint64_t>(k), which);
    };
    ThresholdRowsOptions options = make("diffmax", k % 3 == 0 ? draw(0) : std::pow(10, -12 * draw(0)),
                                        std::vector<std::string>{"tsallis", "none", "porous"}[k % 5 % 3]);
    options.complements = true;
    const auto n = k < 300 ? static_cast<std::int64_t>(std::pow(4000, draw(1))) : 4000;  // the others all alike
    const Numbers x = normals(n, 19, k < 300 ? std::pow(10, 6 * draw(2) - 3) : 1e-3);
    const std::vector<float> low(x.begin(), x.end());
    std::vector<float> p(low.size());
    const std::string what = name_of(options) + ", n " + std::to_string(n);
    const double grown = std::pow(n, options.parameters[0]);
    const ThresholdMetrics metrics = run(options, {1, n, 1}, x).metrics;
    EXPECT_LE(metrics.iterations, 12) << what;
    EXPECT_LE(metrics.sum_error, (40 + grown) * epsilon) << what;
    ThresholdRows rows({1, n, 1}, options);
    rows.forward(low.data(), Storage::fp32, p.data());
    EXPECT_LE(rows.metrics().iterations, 12) << what;
    EXPECT_LE(rows.metrics().sum_error, 40 * 0x1p-24) << what;
  }
}

/// Roundings of the first steps lead beyond the root here; without a step back the sum would be 40 u off.
TEST(ThresholdRows, AStepBeyondTheRootIsTakenBack) {
  ThresholdRowsOptions options = make("diffmax", 0.0009749896377, "porous");
  options.complements = true;
  const Numbers x = normals(5000, 19, 0.006);
  const std::vector<float> low(x.begin(), x.end());
  std::vector<float> p(low.size());
  for (const std::string &backend : backends()) {
    options.backend = backend;
    ThresholdRows rows({1, 5000, 1}, options);
    rows.forward(low.data(), Storage::fp32, p.data());
    EXPECT_LE(rows.metrics().sum_error, 20 * 0x1p-24) << backend;
  }
}

/// Parts of rows on every rank, of unlike sizes, none on the last of five.
TEST(ThresholdRows, RowsSplitOverRanksAreWholeRows) {
  constexpr std::int64_t rows = 6;
  constexpr std::int64_t n = 37;
  Numbers x = normals(rows * n, 16);
  std::fill_n(x.begin() + n, n, -infinity);
  std::fill_n(x.begin() + 2 * n + 1, n - 1, -infinity);  // its only entry is on the first rank
  const Numbers g = normals(rows * n, 17);
  const std::int64_t size = world().size();
  const std::int64_t rank = world().rank();
  const std::int64_t first = rank == 4 ? n : n * rank * rank / (size * size);
  const std::int64_t end = rank == 4 || rank + 1 == size ? n : n * (rank + 1) * (rank + 1) / (size * size);
  const std::int64_t last = size == 5 && rank == 3 ? n : end;
  const auto part = [&](const Numbers &a) {
    Numbers mine;
    for (std::int64_t r = 0; r < rows; ++r)
      mine.insert(mine.end(), a.begin() + r * n + first, a.begin() + r * n + last);
    return mine;
  };
  for (ThresholdRowsOptions options : families()) {
    options.monitor = true;
    const Result whole = run(options, {rows, n, 1}, x, g);
    ThresholdRows split(world(), {rows, last - first, 1}, options);
    const Numbers mine = part(x);
    Numbers p(mine.size());
    const ThresholdSaved saved = split.forward(mine.data(), Storage::fp64, p.data());
    Numbers dx(mine.size());
    const Numbers parameter = split.backward(mine.data(), saved, part(g).data(), Storage::fp64, dx.data());
    expect_near(p, part(whole.p), 100 * epsilon, name_of(options));
    expect_near(dx, part(whole.dx), 1e-11, name_of(options));
    expect_near(parameter, whole.parameter, 1e-11, name_of(options));
    EXPECT_EQ(saved.row_maximum, whole.saved.row_maximum);
    EXPECT_NEAR(split.metrics().mean_support, whole.metrics.mean_support, 1e-12);
    EXPECT_NEAR(split.metrics().mean_entropy, whole.metrics.mean_entropy, 1e-12);
    EXPECT_NEAR(split.metrics().gradient_norm, whole.metrics.gradient_norm, 1e-10);
  }
  Numbers bad = part(x);
  if (rank == size - 1 || last == n) std::fill(bad.begin(), bad.end(), std::nan(""));
  ThresholdRows split(world(), {rows, last - first, 1}, make("entmax", 1.5));
  Numbers p(bad.size());
  EXPECT_NE(error_of([&] { split.forward(bad.data(), Storage::fp64, p.data()); }).find("row 0 "), std::string::npos);
}

TEST(ThresholdRows, MetricsOfARowThatIsKnown) {
  ThresholdRowsOptions options = make("sparsemax", 0);
  options.monitor = true;
  // p = (3/4, 1/4, masked, 0), and a row of masks that does not count.
  const Numbers x = {1, .5, -infinity, -4, -infinity, -infinity, -infinity, -infinity};
  const Result result = run(options, {2, 4, 1}, x, {1, 0, 7, 0, 0, 0, 0, 0});
  expect_near(result.p, {.75, .25, 0, 0, 0, 0, 0, 0}, 8 * epsilon, "p");
  expect_near(result.dx, {.5, -.5, 0, 0, 0, 0, 0, 0}, 8 * epsilon, "dx");
  EXPECT_EQ(result.metrics.rows, 1);
  EXPECT_EQ(result.metrics.mean_support, 2);
  EXPECT_NEAR(result.metrics.zeros, 1. / 3, epsilon);
  EXPECT_NEAR(result.metrics.mean_entropy, -.75 * std::log(.75) - .25 * std::log(.25), 8 * epsilon);
  EXPECT_NEAR(result.metrics.gradient_norm, std::sqrt(.5), 8 * epsilon);
  EXPECT_LE(result.metrics.sum_error, 8 * epsilon);
  EXPECT_TRUE(std::isnan(result.metrics.alpha_mean));
  options = make("diffmax", .5);
  options.parameters = {.25, .5};
  const Result two = run(options, {2, 4, 1}, x, Numbers(8, 1.0));
  EXPECT_EQ(two.metrics.alpha_min, .25);
  EXPECT_EQ(two.metrics.alpha_mean, .375);
  EXPECT_EQ(two.metrics.alpha_max, .5);
  EXPECT_TRUE(std::isnan(two.metrics.mean_support));
}

TEST(AlphaMap, InverseDerivativeAndAccuracyNearOne) {
  for (const char *kind : {"hill", "tanh", "exp"}) {
    const AlphaMap map(kind, 0.8, 3);
    for (const double log_beta : {-20.0, -2.0, 0.0, 1.0, 2.0}) {
      const double alpha = map.value(log_beta);
      EXPECT_GT(alpha, 0.2);
      // alpha = 1 - w keeps epsilon / w of w
      EXPECT_NEAR(map.inverse(alpha), log_beta, 8 * epsilon * (1 / (1 - alpha) + 1 / (alpha - 0.2))) << kind;
      const double change = slope([&](double h) { return map.value(log_beta + h); });
      EXPECT_NEAR(map.derivative(log_beta), change, 1e-10) << kind;
    }
    // w = c b for small b, with b = exp(log_beta)/beta0
    const double b = std::exp(-200.0) / 3;
    EXPECT_NEAR(map.complement(-200) / (0.8 * b), 1, 8 * epsilon) << kind;
    EXPECT_NEAR(map.derivative(-200) / (-0.8 * b), 1, 1000 * epsilon) << kind;  // exp of a difference of 200
    EXPECT_EQ(map.complement(-2000), 0) << kind;
    EXPECT_EQ(map.derivative(-2000), 0) << kind;
    EXPECT_EQ(map.complement(2000), 0.8) << kind;
    EXPECT_EQ(map.derivative(2000), 0) << kind;
    EXPECT_NE(error_of([&] { static_cast<void>(map.inverse(0.1)); }).find("must be in"), std::string::npos);
  }
  EXPECT_NE(error_of([] { AlphaMap("linear"); }).find("hill"), std::string::npos);
  EXPECT_NE(error_of([] { AlphaMap("hill", 1); }).find("(0, 1)"), std::string::npos);
  EXPECT_NE(error_of([] { AlphaMap("hill", 0.5, 0); }).find("beta0"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test
