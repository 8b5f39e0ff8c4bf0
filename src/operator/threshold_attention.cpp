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
// Cost: a pass is N_q N_k pairs of d multiply-adds and a power (B/4 comparisons and additions in the first, in fp32),
// the last c or 2c more; all passes leave out tile pairs without a weight, the first those that score_bounds.hpp knows.
// With 16 bins two passes of step 2 do in fp32 for e >= 2. Memory: 15 numbers a row, a bit for every pair of tiles.
// Reference: docs/mathematics.md.
#include "flashring/threshold_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "operator/score_bounds.hpp"
#include "operator/threshold_row.hpp"

namespace flashring {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int own_numbers = 6;  // f, m, t, 1 - t, 1 - left, e - 1 of power_sums

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
        accuracy_(threshold_accuracy(shape.precision)),
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
  void place_rows();
  void pass(RowKind kind, int columns);
  struct Error {
    double sum = 0;     ///< largest |S0 - 1|
    double beyond = 0;  ///< the same without what rounding explains
  };
  Error collect(RowKind kind, int columns, bool step);
  void hand_over(const AnswerReader &take) const;
  /// B s ln 2 as score_bins reads it.
  double bin_factor(const ThresholdRow &row) const {
    const double unit = row.s * ln_of_2;
    return request_.bins * (shape_.precision == Precision::fp64 ? unit : static_cast<double>(static_cast<float>(unit)));
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
  ThresholdAccuracy accuracy_;
  std::vector<ThresholdRow> rows_;
  std::vector<double> u_sum_;
  TileBits bits_;  // no steps: nothing is known
  ThresholdReport report_;
};

/// One pass, which leaves out what the one before it did not touch.
void Search::pass(RowKind kind, int columns) {
  TileShape shape = shape_;
  shape.row = kind;
  shape.columns = columns;
  TileBits touched;
  const PassReport report = ring_.run(shape, Sides::own, own_, sources_,
                                      {bits_.steps.empty() ? nullptr : &bits_, request_.skip ? &touched : nullptr});
  ++report_.passes;
  report_.pass += report;
  if (request_.skip) bits_ = std::move(touched);
}

void Search::start() {
  communicator_.agree([&] {
    std::vector<double> factors(rows_.size());  // of score_bins
    for (std::size_t i = 0; i < rows_.size(); ++i) factors[i] = bin_factor(rows_[i]);
    own_.set_pass_scalars(factors, 0);
  });
  // A score is counted within one unit and one bin of the largest at most. Bounds know of padding, too.
  if (request_.skip)
    bits_ = bound_scores(communicator_, shape_, own_, sources_, request_.s, 1 + 1.0 / request_.bins, ring_.threads());
  if (bits_.steps.empty() && request_.kept != nullptr) bits_ = *request_.kept;
  pass(RowKind::score_bins, request_.bins);
  own_.finish(
      RowKind::score_bins, request_.bins,
      [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
        for (std::int64_t i = 0; i < count; ++i) {
          if (answers[i] < infinity && answers[i + 2 * stride] == 0) continue;  // no score
          ThresholdRow &row = rows_[static_cast<std::size_t>(first.value + i)];
          row.start(answers + i, stride, request_.bins, bin_factor(row), accuracy_);
        }
      },
      ring_.threads());
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
    const ThresholdRow &row = rows_[i];
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
      ThresholdRow &row = rows_[at];
      if (!row.seen()) continue;
      const PowerSums sums{answers[i], answers[stride + i]};
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
  const std::int64_t outputs = row_rule(kind).outputs(columns) - 2;  // c or 2c
  const auto divide = [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
    std::vector<double> out(static_cast<std::size_t>(outputs * stride));
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t i = 0; i < count; ++i) {
        const double sum = o >= columns ? answers[stride + i] : request_.ensure_sum_one ? answers[i] : 1;
        const double value = answers[(2 + o) * stride + i];
        out[static_cast<std::size_t>(o * stride + i)] = answers[stride + i] > 0 ? value / sum : 0;
      }
    take(first, count, out.data(), stride);
  };
  own_.finish(kind, columns, divide, ring_.threads());
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
  for (const ThresholdRow &row : rows_) {
    result.rows.row_maximum.push_back(row.maximum);
    result.rows.t.push_back(row.t);
  }
  result.rows.u_sum = u_sum_;
  result.rows.tiles = std::move(bits_);
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
