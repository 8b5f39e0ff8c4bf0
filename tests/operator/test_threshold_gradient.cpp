// Threshold attention and its gradient: golden numbers of a dense NumPy program, and central differences of the
// product's own output.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/threshold.hpp"
#include "flashring/threshold_attention.hpp"
#include "support/fake_device.hpp"
#include "support/golden.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int width = 4;   // of q and k
constexpr int values = 3;  // of v and dO
constexpr int columns = width + values;

/// [q | dO] (40, 7) and [k | v] (50, 7), row-major, whole on every rank; scale 1/2.
struct Problem {
  GoldenArray queries = golden("threshold_attention_queries");
  GoldenArray keys = golden("threshold_attention_keys");
  std::string backend = "simd";
  Precision precision = Precision::fp64;
  bool skip = true;

  std::size_t query_rows() const { return queries.shape[0]; }
  std::size_t key_rows() const { return keys.shape[0]; }
};

/// (rows, count) row-major of some columns of rows.
std::vector<double> part(const GoldenArray &array, std::size_t first, std::size_t count) {
  std::vector<double> out;
  for (std::size_t i = 0; i < array.shape[0]; ++i)
    for (std::size_t c = 0; c < count; ++c) out.push_back(array.values[i * array.shape[1] + first + c]);
  return out;
}
std::vector<double> column_major(const std::vector<double> &rows, std::size_t width_of_rows) {
  std::vector<double> out;
  for (std::size_t c = 0; c < width_of_rows; ++c)
    for (std::size_t i = c; i < rows.size(); i += width_of_rows) out.push_back(rows[i]);
  return out;
}

/// Whole, column-major.
struct Answer {
  std::vector<double> o;        // (queries, 2 values): o, o2
  std::vector<double> queries;  // (queries, columns + 3): dQ, zeros, d alpha of three scales
  std::vector<double> keys;     // (keys, columns): dK, dV
  double tiles_skipped = 0;     // by the pass of the gradients
};

class Passes {
 public:
  Passes(const Problem &p, const ThresholdFamily &family)
      : p_(p),
        family_(family),
        transport_(make_transport("auto", world(), backend_named(p.backend).device)),
        ring_(world(), *transport_, backend_named(p.backend), {}),
        query_rows_(RowPartition::contiguous(static_cast<std::int64_t>(p.query_rows()), world().size())),
        key_rows_(RowPartition::contiguous(static_cast<std::int64_t>(p.key_rows()), world().size())) {}

  Answer answer(bool gradient) {
    TileBlock own = block(p_.queries, query_rows_);
    TileBlock sources = block(p_.keys, key_rows_);
    const auto rows = static_cast<std::size_t>(own.local_rows());
    const std::vector<double> hidden(static_cast<std::size_t>(sources.local_rows()), 0.0);
    sources.set_pass_scalars(hidden, -infinity);
    set_columns(sources, p_.keys, width, values, key_rows_);
    const std::vector<double> s(rows, family_.s);
    const std::vector<double> e_minus_1(rows, family_.e_minus_1);
    ThresholdRequest request;
    request.s = s;
    request.e_minus_1 = e_minus_1;
    request.second = true;
    request.skip = p_.skip;
    TileShape shape = this->shape();
    shape.columns = values;
    std::vector<double> o(rows * 2 * values);
    const auto keep = [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
      for (std::size_t c = 0; c < 2 * values; ++c)
        std::copy_n(answers + static_cast<std::int64_t>(c) * stride, count,
                    o.data() + c * rows + static_cast<std::size_t>(first.value));
    };
    const ThresholdResult result = threshold_attention(world(), ring_, shape, own, sources, request, keep);
    Answer out;
    out.o = gather_columns(o, 2 * values, query_rows_, world());
    if (!gradient) return out;
    set_columns(own, p_.queries, 0, columns, query_rows_);
    set_columns(sources, p_.keys, 0, columns, key_rows_);
    const std::vector<double> d_o = local(p_.queries, width, values, query_rows_);
    std::vector<double> delta(rows, 0.0);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t c = 0; c < values; ++c) delta[i] += d_o[c * rows + i] * o[(values + c) * rows + i];
    shape.columns = columns;
    const PassReport pass = threshold_gradient(world(), ring_, shape, own, sources, request, result.rows, delta);
    out.tiles_skipped = world().sum(pass.tile_pairs_skipped);
    out.queries = finished(own, query_rows_, columns + 3);
    out.keys = finished(sources, key_rows_, columns + 3);
    return out;
  }
  /// sum dO o, on every rank.
  double loss() {
    const std::vector<double> o = answer(false).o;
    const std::vector<double> d_o = column_major(part(p_.queries, width, values), values);
    double sum = 0;
    for (std::size_t n = 0; n < d_o.size(); ++n) sum += d_o[n] * o[n];
    return sum;
  }

 private:
  TileShape shape() const {
    return {{PairKind::inner_exp, {0.5, 0}}, RowKind::power_sums, 0, p_.precision, width, values, {}};
  }
  TileBlock block(const GoldenArray &array, const RowPartition &partition) const {
    const PointSet points{width, part(array, 0, width)};
    return {backend_named(p_.backend), shape(), local_block(points, partition, world().rank()), {}};
  }
  std::vector<double> local(const GoldenArray &array, std::size_t first, std::size_t count,
                            const RowPartition &partition) const {
    return local_columns(column_major(part(array, first, count), count), static_cast<int>(count), partition,
                         world().rank());
  }
  void set_columns(TileBlock &to, const GoldenArray &array, std::size_t first, std::size_t count,
                   const RowPartition &partition) const {
    const std::vector<double> x = local(array, first, count, partition);
    to.set_columns({x.data(), to.local_rows(), static_cast<int>(count)});
  }
  static std::vector<double> finished(TileBlock &from, const RowPartition &partition, int outputs) {
    std::vector<double> out(static_cast<std::size_t>(from.local_rows() * outputs));
    from.finish(RowKind::threshold_gradient, columns, {out.data(), from.local_rows(), outputs});
    return gather_columns(out, outputs, partition, world());
  }

  const Problem &p_;
  ThresholdFamily family_;
  std::unique_ptr<Transport> transport_;
  Ring ring_;
  RowPartition query_rows_, key_rows_;
};

struct Case {
  const char *name;
  double parameter;
  const char *scale;
};
// As in the golden arrays.
constexpr Case cases[] = {{"sparsemax", 0, "tsallis"},  {"entmax", 1.5, "tsallis"}, {"entmax", 1.2, "tsallis"},
                          {"diffmax", 0.15, "tsallis"}, {"diffmax", 0.85, "none"},  {"diffmax", 0.6, "porous"}};

/// The sum that belongs to the family's scale, with its sign.
double parameter_gradient(const Answer &answer, const ThresholdFamily &family, std::size_t rows, std::size_t i) {
  const auto scale = static_cast<std::size_t>(family.scale);
  return family.sign * answer.queries[(columns + scale) * rows + i];
}

/// Gradients of scores times their scale, 1/2.
void check_golden(const Problem &p, double tolerance) {
  const GoldenArray of_queries = golden("threshold_attention_of_queries");  // (cases, queries, 3 + 3 + 4 + 1)
  const GoldenArray of_keys = golden("threshold_attention_of_keys");        // (cases, keys, 4 + 3)
  const std::size_t m = p.query_rows();
  const std::size_t n = p.key_rows();
  for (std::size_t at = 0; at < std::size(cases); ++at) {
    SCOPED_TRACE(detail::concatenate(p.backend, " ", cases[at].name, " ", cases[at].parameter, " ", cases[at].scale));
    const ThresholdFamily family = threshold_family(cases[at].name, cases[at].parameter, cases[at].scale);
    const Answer answer = Passes(p, family).answer(true);
    double worst = 0;
    const auto look = [&](double value, double expected) {
      const double error = std::abs(value - expected);
      worst = error <= worst ? worst : error;
    };
    for (std::size_t i = 0; i < m; ++i) {
      const double *row = of_queries.values.data() + (at * m + i) * 11;
      for (std::size_t c = 0; c < 6; ++c) look(answer.o[c * m + i], row[c]);
      for (std::size_t c = 0; c < width; ++c) look(0.5 * answer.queries[c * m + i], row[6 + c]);
      for (std::size_t c = width; c < columns; ++c) EXPECT_EQ(answer.queries[c * m + i], 0);
      look(parameter_gradient(answer, family, m, i), row[10]);
    }
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t c = 0; c < columns; ++c)
        look((c < width ? 0.5 : 1) * answer.keys[c * n + j], of_keys.values[(at * n + j) * columns + c]);
    EXPECT_LE(worst, tolerance);
  }
}

// Numbers are below 10 and sums of at most 50 terms; S0 is 1 to 2^-46 (fp64) or 2^-20, which moves t by less than that,
// p by as much and u, whose slope is (e - 1)/y u, by some hundred times as much for the y that occur.
TEST(ThresholdGradient, GoldenNumbers) {
  for (const char *backend : {"ref", "simd", "device"}) {
    Problem p;
    p.backend = backend;
    check_golden(p, 100 * 50 * 10 * 0x1p-46);
    p.precision = Precision::fp32;
    check_golden(p, 20 * 50 * 0x1p-20);
  }
}

/// The pass of the gradients visits the pairs of tiles that the forward pass kept, and these hold every weight.
TEST(ThresholdGradient, SkippedTilesChangeNoBit) {
  const auto clusters = [](std::size_t rows, std::uint64_t seed) {
    GoldenArray array{{rows, columns}, random_numbers(rows * columns, seed)};
    for (std::size_t i = 0; i < rows; ++i) array.values[i * columns] += i < 256 ? 6 : -6;
    return array;
  };
  Problem p{clusters(520, 76), clusters(530, 77)};
  const auto check = [&p](const char *backend, Precision precision, const ThresholdFamily &family) {
    SCOPED_TRACE(detail::concatenate(backend, precision == Precision::fp64 ? " fp64" : " fp32"));
    p.backend = backend;
    p.precision = precision;
    p.skip = true;
    const Answer skipping = Passes(p, family).answer(true);
    p.skip = false;
    const Answer all = Passes(p, family).answer(true);
    EXPECT_EQ(skipping.o, all.o);
    EXPECT_EQ(skipping.queries, all.queries);
    EXPECT_EQ(skipping.keys, all.keys);
    EXPECT_GT(skipping.tiles_skipped, 0);
    EXPECT_EQ(all.tiles_skipped, 0);
  };
  check("simd", Precision::fp64, threshold_family("diffmax", 0.6, "porous"));
  check("simd", Precision::fp32, threshold_family("diffmax", 0.15));
  check("device", Precision::fp64, threshold_family("sparsemax", 0));
}

/// Differences over five places err by h^4/30 fifth derivatives, 1e-16 of them with h = 1e-4, and by 1e-14 / h = 1e-10,
/// the error of a sum of 120 terms.
template <class Loss>
double slope(Loss loss) {
  constexpr double h = 1e-4;
  return (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
}

/// No score passes the edge of a support by these steps, where families with e < 5 have no fifth derivative.
TEST(ThresholdGradient, CentralDifferences) {
  for (const Case &c : cases) {
    SCOPED_TRACE(detail::concatenate(c.name, " ", c.scale));
    Problem p;
    const ThresholdFamily family = threshold_family(c.name, c.parameter, c.scale);
    const Answer answer = Passes(p, family).answer(true);
    const auto moved = [&](GoldenArray &array, std::size_t at) {
      return slope([&](double h) {
        const double before = array.values[at];
        array.values[at] += h;
        const double loss = Passes(p, family).loss();
        array.values[at] = before;
        return loss;
      });
    };
    const std::size_t i = 7 * static_cast<std::size_t>(&c - cases) + 4;
    EXPECT_NEAR(0.5 * answer.queries[2 * p.query_rows() + i], moved(p.queries, i * columns + 2), 1e-8);
    EXPECT_NEAR(0.5 * answer.keys[1 * p.key_rows() + i], moved(p.keys, i * columns + 1), 1e-8);
    EXPECT_NEAR(answer.keys[(width + 1) * p.key_rows() + i], moved(p.keys, i * columns + width + 1), 1e-8);
    double of_parameter = 0;
    for (std::size_t row = 0; row < p.query_rows(); ++row)
      of_parameter += parameter_gradient(answer, family, p.query_rows(), row);
    if (!has_parameter(c.name)) continue;
    // A parameter moves e = 1/w by e^2 h: a smaller step.
    const auto loss = [&](double h) {
      return Passes(p, threshold_family(c.name, c.parameter + h / 10, c.scale)).loss();
    };
    EXPECT_NEAR(of_parameter, 10 * slope(loss), 1e-8);
  }
}

}  // namespace
}  // namespace flashring::test
