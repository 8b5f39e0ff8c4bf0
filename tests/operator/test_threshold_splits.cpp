// Rows of scores of any dimension and length, split over threads and ranks: bits, sums, iterations, metrics.
#include <numeric>

#include "support/error_of.hpp"
#include "support/threshold_rows.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

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
  const Result forward = run(options, {2, 4, 1}, x);
  EXPECT_TRUE(std::isnan(forward.metrics.gradient_norm) && std::isnan(forward.metrics.parameter_gradient_norm));
  EXPECT_TRUE(std::isnan(result.metrics.alpha_mean));
  options = make("diffmax", .5);
  options.parameters = {.25, .5};
  const Result two = run(options, {2, 4, 1}, x, Numbers(8, 1.0));
  EXPECT_EQ(two.metrics.alpha_min, .25);
  EXPECT_EQ(two.metrics.alpha_mean, .375);
  EXPECT_EQ(two.metrics.alpha_max, .5);
  EXPECT_TRUE(std::isnan(two.metrics.mean_support));
}

}  // namespace
}  // namespace flashring::test
