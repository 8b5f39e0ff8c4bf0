// Threshold attention by passes over tiles.
//
//   1. score_bins: max x and a histogram of z = s x, B bins a unit. The equation sum p = 1 with every score in the
//      middle of its bin, solved row by row, gives the first t, and half a bin left of it the left end.
//   2. power_sums: S0 = sum p and S1 = sum u at t; t += (S0/S1)(1 - S0^(-1/e)). From the second time on, if e >= 2,
//      t is where the cubic through both values and slopes of t(S0^(1/e)) has its end: with errors r and r' of the two
//      sums it leaves 4 r^2 r'^2 at most (random rows, e from 2 to 100), a Newton step r'^2. The last step is one that
//      leaves little enough.
//   3. power_sums or threshold_sum with the columns: output at the last t, with S0 and S1 measured there.
//
// Cost: a pass is N_q N_k pairs of d multiply-adds and a power (B + 1 comparisons and additions in the first), the last
// c or 2c more; passes after the first leave out tile pairs without a weight. With 16 bins two passes of step 2 do in
// fp32 for e >= 2. Memory: 15 numbers a row, a bit for every pair of tiles. Reference: docs/mathematics.md.
#include "flashring/threshold_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "flashring/check.hpp"

namespace flashring {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double ln_of_2 = 0.69314718055994530942;
constexpr int most_steps = 60;  // of Newton: far above what convergence takes
constexpr int own_numbers = 6;  // f, m, t, 1 - t, 1 - left, e - 1 of power_sums

/// Roundings of a precision as this file needs them.
struct Accuracy {
  double rounding;  ///< u
  double sum;       ///< relative error of S0 and S1 at most, with room
  double wanted;    ///< |S0 - 1|
};
Accuracy accuracy_of(Precision precision) {
  if (precision == Precision::fp64) return {0x1p-53, 0x1p-42, 0x1p-46};
  return {0x1p-24, 0x1p-14, 0x1p-20};
}

/// Power sums at some t.
struct Powers {
  double p = 0;
  double u = 0;
  /// Some scores of a histogram, which is rougher than fp32.
  void add(double y, double e_minus_1, double count) {
    if (!(y > 0)) return;
    const double power = e_minus_1 == 0   ? 1
                         : e_minus_1 == 1 ? y
                         : e_minus_1 < 1e4
                             ? static_cast<double>(std::pow(static_cast<float>(y), static_cast<float>(e_minus_1)))
                             : std::pow(y, e_minus_1);
    u += count * power;
    p += count * power * y;
  }
  /// Newton's, on g = p^(1/e) - 1.
  double step(double e) const { return p / u * -std::expm1(-std::log(p) / e); }
  double g(double e) const { return std::expm1(std::log(p) / e); }
  double slope(double e) const { return -p / u / (1 + g(e)); }  // dt/dg
  double error() const { return std::abs(p - 1); }
  /// |p - 1| that the rounding of t alone makes, with room: t or 1 - t is right to u, whichever a score needs.
  double noise(double e, double t, double rounding) const { return 4 * rounding * (1 + e * u * std::min(t, 1 - t)); }
};

/// One row while its threshold is looked for.
struct Row {
  double s = 1;
  double e_minus_1 = 0;
  double maximum = -infinity;  ///< max x
  double t = 0;
  double left = 0;    ///< t is not below
  double before = 0;  ///< t of the sums before the last
  Powers sums;        ///< of the pass before the last, then of the last
  bool stepped = false;
  bool seen() const { return maximum > -infinity; }
  double e() const { return e_minus_1 + 1; }

  /// Where the cubic t(g) through (g, t) of two passes with their slopes has g = 0.
  double cubic(const Powers &now) const {
    const double from = sums.g(e());
    const double h = now.g(e()) - from;
    const double x = -from / h;
    const double rest = 1 - x;
    return (1 + 2 * x) * rest * rest * before + x * rest * rest * h * sums.slope(e()) + x * x * (3 - 2 * x) * t -
           x * x * rest * h * now.slope(e());
  }
  /// Takes the sums at t and makes a step; returns what |p - 1| will be, by experience, in units that make
  /// accuracy.wanted of what is wanted here.
  double advance(const Powers &now, const Accuracy &accuracy) {
    const double wanted = accuracy.wanted + now.noise(e(), t, accuracy.rounding);
    if (now.error() == 0) return 0;
    const double move = now.step(e());
    const double doubt =
        accuracy.sum * (now.p / now.u / e() + std::abs(move)) + 8 * accuracy.rounding * (std::abs(s * maximum) + 2);
    const double newton = t + move;
    double next = newton;
    double expected = now.error() * now.error();
    if (stepped && e() >= 2 && now.error() < sums.error() / 2 && now.error() > 16 * wanted) {
      next = cubic(now);
      expected *= 4 * sums.error() * sums.error();
    }
    left = std::max(left, std::min(newton, 1.0) - doubt);
    before = t;
    sums = now;
    stepped = true;
    t = std::max(next, left);
    return expected * accuracy.wanted / wanted;
  }
};

class Search {
 public:
  Search(const Communicator &communicator, Ring &ring, const TileShape &shape, TileBlock &own, TileBlock &sources,
         const ThresholdRequest &request)
      : communicator_(communicator),
        ring_(ring),
        shape_(shape),
        own_(own),
        sources_(sources),
        request_(request),
        accuracy_(accuracy_of(shape.precision)),
        rows_(static_cast<std::size_t>(own.local_rows())),
        u_sum_(rows_.size()) {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      rows_[i].s = request.s[i];
      rows_[i].e_minus_1 = request.e_minus_1[i];
    }
  }

  ThresholdResult run(const AnswerReader &take);

 private:
  void start();
  void start_row(Row &row, const double *answers, std::int64_t stride) const;
  void place_rows();
  void pass(RowKind kind, int columns);
  struct Error {
    double sum = 0;     ///< largest |S0 - 1|
    double beyond = 0;  ///< the same without what rounding explains
  };
  Error collect(RowKind kind, int columns, bool step);
  void hand_over(const AnswerReader &take) const;
  double rounded(double t) const {
    return shape_.precision == Precision::fp64 ? t : static_cast<double>(static_cast<float>(t));
  }

  std::string name_of(std::size_t row) const {
    const LocalRow local{static_cast<std::int64_t>(row)};
    return request_.describe ? request_.describe(local) : detail::concatenate("local row ", row);
  }

  const Communicator &communicator_;
  Ring &ring_;
  TileShape shape_;
  TileBlock &own_;
  TileBlock &sources_;
  const ThresholdRequest &request_;
  Accuracy accuracy_;
  std::vector<Row> rows_;
  std::vector<double> u_sum_;
  std::optional<TileBits> bits_;
  ThresholdReport report_;
};

/// One pass, which leaves out what the one before it did not touch.
void Search::pass(RowKind kind, int columns) {
  TileShape shape = shape_;
  shape.row = kind;
  shape.columns = columns;
  TileBits touched;
  const PassReport report =
      ring_.run(shape, Sides::own, own_, sources_,
                {bits_.has_value() ? &*bits_ : request_.kept, request_.skip ? &touched : nullptr});
  ++report_.passes;
  report_.pass += report;
  if (request_.skip) bits_ = std::move(touched);
}

/// The first t of a row from its histogram. Every score lies within half a bin of where it is taken to be, so the true
/// threshold lies within half a bin of the solution; Newton's steps end left of that, so half a bin left of them is
/// safe.
void Search::start_row(Row &row, const double *answers, std::int64_t stride) const {
  const double bins = request_.bins;
  const double factor = rounded(row.s * ln_of_2) * bins;
  const double top = factor * answers[0];  // v of the largest score
  const double k_max = answers[stride];
  row.maximum = answers[0] * ln_of_2;
  if (std::abs(k_max) * accuracy_.rounding > 0.125) return;  // bins are narrower than the rounding of scores
  double count = 0;
  for (int b = 0; b <= request_.bins; ++b) count += answers[(2 + b) * stride];
  const double right = -std::expm1(-std::log(count) / row.e());
  double t = 0;
  for (int n = 0; n < most_steps; ++n) {
    Powers sums;
    sums.add(1 - t, row.e_minus_1, 1);  // the largest score itself
    sums.add(1 - t + (k_max - top) / (2 * bins), row.e_minus_1, answers[2 * stride] - 1);
    for (int b = 1; b <= request_.bins; ++b)
      if (answers[(2 + b) * stride] > 0)
        sums.add(1 - t + (k_max - b + 0.5 - top) / bins, row.e_minus_1, answers[(2 + b) * stride]);
    const double step = sums.step(row.e());
    t += step;
    if (!(step > 0.1 / bins)) break;
  }
  const double widen = 8 * accuracy_.rounding * (std::abs(top / bins) + 2);
  row.left = std::max(0.0, t - 0.501 / bins - widen);
  row.t = std::clamp(t, row.left, std::max(row.left, right));
}

void Search::start() {
  communicator_.agree([&] {
    std::vector<double> factors(rows_.size());  // of score_bins
    for (std::size_t i = 0; i < rows_.size(); ++i) factors[i] = request_.bins * rounded(rows_[i].s * ln_of_2);
    own_.set_pass_scalars(factors, 0);
  });
  pass(RowKind::score_bins, request_.bins);
  own_.finish(RowKind::score_bins, request_.bins,
              [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
                for (std::int64_t i = 0; i < count; ++i) {
                  if (answers[i] < infinity && answers[i + 2 * stride] == 0) continue;  // no score
                  start_row(rows_[static_cast<std::size_t>(first.value + i)], answers + i, stride);
                }
              });
  communicator_.agree([&] {
    for (std::size_t i = 0; i < rows_.size(); ++i)
      FLASHRING_CHECK(rows_[i].maximum < infinity, "scores: ", name_of(i), " has one of ", rows_[i].maximum,
                      "; scale the features down, or take fp64");
  });
}

/// The numbers of power_sums to the tiles. A row that saw nothing gets some that nothing is weighed by.
void Search::place_rows() {
  const std::size_t n = rows_.size();
  std::vector<double> numbers(own_numbers * n);  // (rows, own_numbers) column-major
  for (std::size_t i = 0; i < n; ++i) {
    const Row &row = rows_[i];
    numbers[i] = row.s * ln_of_2;
    numbers[n + i] = row.seen() ? row.maximum / ln_of_2 : 0;
    numbers[2 * n + i] = row.t;
    numbers[3 * n + i] = 1 - row.t;
    numbers[4 * n + i] = 1 - row.left;
    numbers[5 * n + i] = row.e_minus_1;
  }
  own_.set_pass_scalars({numbers.data(), own_.local_rows(), own_numbers}, 0);
}

/// Of all ranks; after a step what is to be expected of the next pass.
Search::Error Search::collect(RowKind kind, int columns, bool step) {
  Error error;
  // A NaN becomes infinite: a maximum over ranks may lose it, or differ between them, and with it the passes.
  const auto raise = [](double &largest, double value) {
    largest = std::max(largest, std::isnan(value) ? infinity : value);
  };
  own_.finish(kind, columns, [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(first.value + i);
      Row &row = rows_[at];
      if (!row.seen()) continue;
      const Powers sums{answers[i], answers[stride + i]};
      u_sum_[at] = sums.u;
      raise(error.sum, step ? row.advance(sums, accuracy_) : sums.error());
      raise(error.beyond, sums.error() - sums.noise(row.e(), row.t, accuracy_.rounding));
    }
  });
  return {communicator_.max(error.sum), communicator_.max(error.beyond)};
}

void Search::hand_over(const AnswerReader &take) const {
  const RowKind kind = request_.second ? RowKind::threshold_sum : RowKind::power_sums;
  const int columns = shape_.columns;
  std::vector<double> out;  // (c or 2c, rows of a tile)
  own_.finish(kind, columns, [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
    out.resize(static_cast<std::size_t>(row_rule(kind).outputs(columns) - 2) * static_cast<std::size_t>(stride));
    for (std::int64_t o = 0; o < row_rule(kind).outputs(columns) - 2; ++o)
      for (std::int64_t i = 0; i < count; ++i) {
        const double sum = o >= columns ? answers[stride + i] : request_.ensure_sum_one ? answers[i] : 1;
        const double value = answers[(2 + o) * stride + i];
        out[static_cast<std::size_t>(o * stride + i)] = answers[stride + i] > 0 ? value / sum : 0;
      }
    take(first, count, out.data(), stride);
  });
}

ThresholdResult Search::run(const AnswerReader &take) {
  start();
  const RowKind output = request_.second ? RowKind::threshold_sum : RowKind::power_sums;
  double expected = 1;  // |S0 - 1| of the next pass
  double last_error = infinity;
  for (bool done = false; !done;) {
    const bool last = expected <= accuracy_.wanted || report_.iterations >= most_steps;
    communicator_.agree([&] { place_rows(); });
    pass(last ? output : RowKind::power_sums, last ? shape_.columns : 0);
    const Error error = collect(last ? output : RowKind::power_sums, last ? shape_.columns : 0, false);
    report_.sum_error = error.sum;
    const bool stuck = !(error.sum < last_error / 2);
    done = last && (error.beyond <= accuracy_.wanted || stuck || report_.iterations >= most_steps);
    if (done) break;
    last_error = report_.sum_error;
    expected = collect(last ? output : RowKind::power_sums, last ? shape_.columns : 0, true).sum;
    if (last || stuck) expected = 0;
    ++report_.iterations;
  }
  communicator_.agree([&] { hand_over(take); });
  report_.tiles_visited = communicator_.sum(report_.pass.tile_pairs);
  report_.tiles_skipped = communicator_.sum(report_.pass.tile_pairs_skipped);
  ThresholdResult result{{}, report_};
  for (const Row &row : rows_) {
    result.rows.row_maximum.push_back(row.maximum);
    result.rows.t.push_back(row.t);
  }
  result.rows.u_sum = u_sum_;
  if (bits_.has_value()) result.rows.tiles = std::move(*bits_);
  return result;
}

void check_request(const TileBlock &own, const TileShape &shape, const ThresholdRequest &request) {
  const auto rows = static_cast<std::size_t>(own.local_rows());
  FLASHRING_CHECK(request.s.size() == rows && request.e_minus_1.size() == rows, "s and e - 1: ", request.s.size(),
                  " and ", request.e_minus_1.size(), " numbers for ", rows, " rows of this rank");
  FLASHRING_CHECK(request.bins >= 1 && request.bins <= max_columns && (request.bins & (request.bins - 1)) == 0,
                  "bins = ", request.bins, "; a power of two up to ", max_columns);
  // Tiles multiply scores by s ln 2, and by bins, in their precision.
  const double most = shape.precision == Precision::fp64 ? 1e300 : 1e30;
  for (std::size_t i = 0; i < rows; ++i)
    FLASHRING_CHECK(request.s[i] >= 1 / most && request.s[i] <= most && request.e_minus_1[i] >= 0 &&
                        request.e_minus_1[i] < infinity,
                    "local row ", i, " has s = ", request.s[i], " and e - 1 = ", request.e_minus_1[i], "; give ",
                    1 / most, " <= s <= ", most, " and 0 <= e - 1 < infinity");
  FLASHRING_CHECK(folds_thresholds(own.backend(), shape), "-backend ", own.backend().name,
                  " has no threshold rules; -backend simd has");
}

/// Whether the bits are of these two blocks, or empty: those of other blocks would be read beyond their end.
bool fits(const TileBits &bits, const Communicator &communicator, const TileBlock &own, const TileBlock &sources) {
  if (bits.steps.empty()) return true;
  const int ranks = communicator.size();
  bool same = bits.steps.size() == static_cast<std::size_t>(ranks);
  for (int step = 0; same && step < ranks; ++step) {
    const std::int64_t visiting =
        count_tiles(sources.partition(), (communicator.rank() + step) % ranks, sources.tile_rows());
    same = bits.steps[static_cast<std::size_t>(step)].size() ==
           own.tiles().size() * static_cast<std::size_t>(kept_words(visiting));
  }
  return same;
}

}  // namespace

bool folds_thresholds(const Backend &backend, TileShape shape) {
  const int columns = shape.columns;
  bool all = true;
  for (const RowKind row : {RowKind::score_bins, RowKind::power_sums, RowKind::threshold_sum}) {
    shape.row = row;
    shape.columns = row == RowKind::score_bins ? 1 : columns;
    all = all && backend.supports(shape);
  }
  return all;
}

PassReport threshold_gradient(const Communicator &communicator, Ring &ring, TileShape shape, TileBlock &own,
                              TileBlock &sources, const ThresholdRequest &request, const RowThresholds &rows,
                              std::span<const double> delta) {
  constexpr std::size_t numbers = 7;  // f, m, t, 1 - t, e - 1, s e, delta
  const auto n = static_cast<std::size_t>(own.local_rows());
  shape.row = RowKind::threshold_gradient;
  FLASHRING_REQUIRE(&own != &sources, "queries and keys have numbers of their own: give two blocks");
  communicator.agree([&] {
    FLASHRING_CHECK(own.backend().supports(shape), "-backend ", own.backend().name,
                    " has no threshold rules; -backend simd has");
    FLASHRING_CHECK(rows.t.size() == n && rows.row_maximum.size() == n && delta.size() == n && request.s.size() == n &&
                        request.e_minus_1.size() == n,
                    "the rows of the forward pass are ", rows.t.size(), " on this rank, and of these arrays ", n);
    FLASHRING_CHECK(fits(rows.tiles, communicator, own, sources),
                    "the pairs of tiles that the forward pass kept are of other blocks, or of another backend");
  });
  communicator.agree([&] {
    std::vector<double> scalars(numbers * n, 0.0);  // (rows, numbers) column-major; zeros: the row gives nothing
    for (std::size_t i = 0; i < n; ++i) {
      if (!(rows.row_maximum[i] > -infinity)) continue;
      const double s = request.s[i];
      const double of_row[numbers] = {s * ln_of_2,          rows.row_maximum[i] / ln_of_2, rows.t[i], 1 - rows.t[i],
                                      request.e_minus_1[i], s * request.e_minus_1[i] + s,  delta[i]};
      for (std::size_t k = 0; k < numbers; ++k) scalars[k * n + i] = of_row[k];
    }
    own.set_pass_scalars({scalars.data(), own.local_rows(), static_cast<int>(numbers)}, 0);
  });
  const bool kept = !rows.tiles.steps.empty();
  return ring.run(shape, Sides::both, own, sources, {kept ? &rows.tiles : nullptr, nullptr});
}

ThresholdResult threshold_attention(const Communicator &communicator, Ring &ring, TileShape shape, TileBlock &own,
                                    TileBlock &sources, const ThresholdRequest &request, const AnswerReader &take) {
  FLASHRING_REQUIRE(&own != &sources, "queries and keys have numbers of their own: give two blocks");
  communicator.agree([&] { check_request(own, shape, request); });
  return Search(communicator, ring, shape, own, sources, request).run(take);
}

}  // namespace flashring
