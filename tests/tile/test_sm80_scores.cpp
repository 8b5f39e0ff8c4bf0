// Rows of scores on backend sm80, its threads emulated: rows of any length, whole and in parts, against the reference;
// masks, storages, strides, orders of threads, errors.
#include <stdexcept>

#include "support/error_of.hpp"
#include "support/sm80_scores.hpp"
#include "support/threshold_rows.hpp"

namespace flashring::test {
namespace {

constexpr RowsShape shape_of(std::int64_t rows, std::int64_t n) { return {rows, n, 1}; }

ThresholdRowsOptions emulated(ThresholdRowsOptions options, CudaBlock::Order order = CudaBlock::Order::shuffled) {
  options.kernels = &emulated_scores(order);
  return options;
}

/// Rows with a masked tenth, one row of equal scores, and where there are three or more one without a finite score.
Numbers scores(std::int64_t rows, std::int64_t n, std::uint64_t seed) {
  Numbers x = normals(rows * n, seed, 2);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(x[i]);
    const std::int64_t row = static_cast<std::int64_t>(i) / n;
    if (i % 10 == 3 && n > 1) x[i] = -infinity;
    if (row == 1) x[i] = 0.25;
    if (row == 2) x[i] = -infinity;
  }
  return x;
}

/// p by 100 epsilon and dx by 1e-12 in fp64, as test_threshold_splits.cpp derives them for any length.
void expect_like_reference(const ThresholdRowsOptions &options, RowsShape shape, const Numbers &x, const Numbers &g) {
  ThresholdRowsOptions plain = options;
  plain.kernels = nullptr;
  plain.backend = "ref";
  const Result expected = run(plain, shape, x, g);
  const Result result = run(options, shape, x, g);
  const std::string what = options.op + " " + std::to_string(options.parameters[0]) + ", n " + std::to_string(shape.n);
  expect_near(result.p, expected.p, 100 * epsilon, "p of " + what);
  expect_near(result.dx, expected.dx, 1e-12, "dx of " + what);
  expect_near(result.parameter, expected.parameter, 1e-12 * static_cast<double>(shape.rows()), "parameter of " + what);
  EXPECT_EQ(result.saved.row_maximum, expected.saved.row_maximum) << what;
  EXPECT_EQ(result.metrics.rows, expected.metrics.rows) << what;
  if (!options.monitor) return;
  EXPECT_NEAR(result.metrics.mean_support, expected.metrics.mean_support, 0.01) << what;
  EXPECT_NEAR(result.metrics.zeros, expected.metrics.zeros, 1e-3) << what;
  EXPECT_NEAR(result.metrics.mean_entropy, expected.metrics.mean_entropy, 1e-10) << what;
  EXPECT_NEAR(result.metrics.gradient_norm, expected.metrics.gradient_norm, 1e-10) << what;
}

/// Groups of 1 lane to 512 threads, and rows in parts: 5000 and 9000 fp64 scores do not fit.
TEST(Sm80Scores, RowsOfAnyLengthAreThoseOfTheReference) {
  for (const std::int64_t n : {1, 2, 16, 31, 32, 33, 65, 300, 1024, 1025, 2500, 5000, 9000}) {
    const std::int64_t rows = n < 40 ? 130 : n < 1000 ? 9 : 3;
    const Numbers x = scores(rows, n, 21);
    const Numbers g = normals(rows * n, 22);
    for (ThresholdRowsOptions options : {make("diffmax", 0.5), make("diffmax", 0.85), make("softmax", 0)}) {
      options.monitor = true;
      expect_like_reference(emulated(options), shape_of(rows, n), x, g);
    }
  }
}

/// More parts than a block has threads.
TEST(Sm80Scores, ARowOfManyParts) {
  constexpr std::int64_t n = 600000;
  expect_like_reference(emulated(make("softmax", 0)), shape_of(1, n), scores(1, n, 33), normals(n, 34));
}

TEST(Sm80Scores, EveryFamilyAndGroupsOfRows) {
  const Numbers x = scores(6, 40, 23);
  const Numbers g = normals(6 * 40, 24);
  for (const ThresholdRowsOptions &options : families())
    expect_like_reference(emulated(options), shape_of(6, 40), x, g);
  for (const double e : {3.0, 4.0}) expect_like_reference(emulated(make("entmax", 1 + 1 / e)), shape_of(6, 40), x, g);
  ThresholdRowsOptions options = make("diffmax", 0);
  options.parameters = {0.2, 0.5, 0.9};  // rows of different powers in one warp
  expect_like_reference(emulated(options), shape_of(6, 40), x, g);
  options.parameters = {0.2, 0.5};
  options.rows_per_group = 3;
  expect_like_reference(emulated(options), shape_of(6, 40), x, g);
}

/// Two ranks that have the same part of every row.
class Twins : public Communicator {
 public:
  using Communicator::gather;
  using Communicator::max;
  using Communicator::sum;
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void sum(std::span<double> values) const override {
    for (double &value : values) value *= 2;
  }
  void sum(std::span<std::int64_t> values) const override {
    for (std::int64_t &value : values) value *= 2;
  }
  void max(std::span<double> /*values*/) const override {}
  void broadcast(std::span<std::byte> /*bytes*/, int /*root*/) const override {}
  std::vector<std::byte> gather(std::span<const std::byte> bytes) const override {
    std::vector<std::byte> both(bytes.begin(), bytes.end());
    both.insert(both.end(), bytes.begin(), bytes.end());
    return both;
  }
  [[noreturn]] void abort(int /*exit_code*/) const override { throw std::logic_error("a twin aborts"); }
};

/// Rows split over ranks take the steps one by one, short ones too: halves of rows against these rows.
TEST(Sm80Scores, RowsSplitOverRanksAreTheWholeOnes) {
  const Twins twins;
  for (const std::int64_t n : {7, 300, 2500}) {
    const Numbers x = scores(5, n, 25);
    const Numbers g = normals(5 * n, 26);
    const auto doubled = [&](const Numbers &half) {
      Numbers rows;
      for (auto row = half.begin(); row != half.end(); row += n)
        for (int twin = 0; twin < 2; ++twin) rows.insert(rows.end(), row, row + n);
      return rows;
    };
    const ThresholdRowsOptions options = emulated(make("diffmax", 0.7));
    const Result whole = run(options, shape_of(5, 2 * n), doubled(x), doubled(g));
    ThresholdRows rows(twins, shape_of(5, n), options);
    Numbers p(x.size());
    Numbers dx(x.size());
    const ThresholdSaved saved = rows.forward(x.data(), Storage::fp64, p.data());
    const Numbers parameter = rows.backward(x.data(), saved, g.data(), Storage::fp64, dx.data());
    expect_near(doubled(p), whole.p, 100 * epsilon, "p");
    expect_near(doubled(dx), whole.dx, 1e-12, "dx");
    expect_near(parameter, whole.parameter, 1e-11, "parameter");
  }
}

/// Sums of lanes are in another order than those of the reference, which is fp64 inside.
TEST(Sm80Scores, Fp32IsWithinItsRoundings) {
  for (const std::int64_t n : {33, 1024, 5000, 9000}) {
    const Numbers x = scores(3, n, 27);
    const std::vector<float> low(x.begin(), x.end());
    for (const ThresholdRowsOptions &options : {make("diffmax", 0.5), make("diffmax", 0.85), make("softmax", 0)}) {
      const Numbers exact = run(options, shape_of(3, n), x).p;
      ThresholdRows rows(shape_of(3, n), emulated(options));
      std::vector<float> p(low.size());
      rows.forward(low.data(), Storage::fp32, p.data());
      const ThresholdFamily family = threshold_family(options.op, options.parameters[0]);
      for (std::size_t i = 0; i < p.size(); ++i)
        ASSERT_NEAR(p[i], exact[i], fp32_bound(family, exact[i])) << name_of(options) << ", n " << n << ", entry " << i;
      EXPECT_LE(rows.metrics().sum_error, 24 * 0x1p-24) << name_of(options);
    }
  }
}

/// Any dimension, and arrays of a device, which are not copied; results in the place of x. To the last bit.
TEST(Sm80Scores, StridesAndInPlaceGiveTheSameBits) {
  constexpr std::int64_t outer = 2;
  constexpr std::int64_t inner = 3;
  for (const std::int64_t n : {20, 70, 1100, 9000}) {
    const Numbers x = scores(outer * inner, n, 28);
    Numbers strided(x.size());
    for (std::int64_t r = 0; r < outer * inner; ++r)
      for (std::int64_t i = 0; i < n; ++i)
        strided[static_cast<std::size_t>((r / inner * n + i) * inner + r % inner)] =
            x[static_cast<std::size_t>(r * n + i)];
    ThresholdRowsOptions options = emulated(make("diffmax", 0.8));
    const Result whole = run(options, shape_of(outer * inner, n), x, x);
    options.memory = MemorySpace::device;
    ThresholdRows rows({outer, n, inner}, options);
    Numbers p = strided;
    const ThresholdSaved saved = rows.forward(p.data(), Storage::fp64, p.data());
    EXPECT_EQ(rows.bytes_copied(), 0);
    EXPECT_EQ(saved.t, whole.saved.t);
    for (std::int64_t r = 0; r < outer * inner; ++r)
      for (std::int64_t i = 0; i < n; ++i)
        ASSERT_EQ(p[static_cast<std::size_t>((r / inner * n + i) * inner + r % inner)],
                  whole.p[static_cast<std::size_t>(r * n + i)]);
  }
}

TEST(Sm80Scores, OrdersOfThreadsGiveTheSameBits) {
  for (const std::int64_t n : {33, 2000, 5000}) {
    const Numbers x = scores(4, n, 29);
    const Numbers g = normals(4 * n, 30);
    const Result first = run(emulated(make("entmax", 1.3)), shape_of(4, n), x, g);
    for (const auto order : {CudaBlock::Order::forward, CudaBlock::Order::backward, CudaBlock::Order::warps}) {
      const Result again = run(emulated(make("entmax", 1.3), order), shape_of(4, n), x, g);
      EXPECT_EQ(again.p, first.p) << n;
      EXPECT_EQ(again.dx, first.dx) << n;
      EXPECT_EQ(again.parameter, first.parameter) << n;
    }
  }
}

/// What the host's conversion makes of 16 bits, and of fp32 results.
TEST(Sm80Scores, SixteenBitStoragesAreWorkedWithInFp32) {
  constexpr std::int64_t n = 100;
  const Numbers x = scores(4, n, 31);
  for (const Storage storage : {Storage::bf16, Storage::fp16}) {
    std::vector<std::uint16_t> low(x.size());
    store_numbers(x.data(), 4 * n, low.data(), storage, 0, 1);
    std::vector<float> loaded(x.size());
    load_numbers(low.data(), storage, 0, 1, 4 * n, loaded.data());
    ThresholdRows rows(shape_of(4, n), emulated(make("entmax", 1.5)));
    rows.forward(loaded.data(), Storage::fp32, loaded.data());
    std::vector<std::uint16_t> expected(x.size());
    store_numbers(loaded.data(), 4 * n, expected.data(), storage, 0, 1);
    rows.forward(low.data(), storage, low.data());
    EXPECT_EQ(low, expected) << storage_name(storage);
  }
}

TEST(Sm80Scores, BadScoresAreNamed) {
  for (const std::int64_t n : {3, 9000})
    for (const double bad : {infinity, std::nan("")}) {
      Numbers x = normals(4 * n, 32);
      x[static_cast<std::size_t>(2 * n + n / 2)] = bad;
      EXPECT_NE(error_of([&] { run(emulated(make("entmax", 1.5)), shape_of(4, n), x); }).find("row 2 "),
                std::string::npos);
    }
  ThresholdRowsOptions options = make("entmax", 1.5);
  options.memory = MemorySpace::device;
  options.backend = "ref";
  EXPECT_NE(error_of([&] { ThresholdRows(shape_of(1, 1), options); }).find("take cuda"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test
