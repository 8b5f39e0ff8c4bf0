// Threshold attention by passes over tiles.
//
//   1. score_bins: max x and a histogram of z = s x, B bins over the range that has a weight, or over the scores that
//      there can be. The equation sum p = 1 with every score in the middle of its bin, solved row by row, gives a left
//      end half a bin left of its solution; with scores spread over their bins as those beside tell, the first t.
//   2. score_list, where most rows have few scores above their left ends, by the histogram, or e < 2, whose steps leave
//      more than others': these scores come home, all of a row or those near t, and t is solved for with them; sums of
//      those above are continued by their derivatives. Other rows are summed as in 3 by the same pass.
//   3. power_sums: S0, S1 and S2, the sums of y^e, y^(e-1) and y^(e-2), at t, and a step of Newton (e < 2) or Halley on
//      S0^(1/e) - 1. A sum that is off by r is off by r^2 after it, or by some |ln S0 / e|^3. The last step or list is
//      one that leaves little enough.
//   4. power_sums or threshold_sum with the columns: output at the last t, with the sums measured there.
//
// Cost: a pass is N_q N_k pairs of d multiply-adds and a power (B/4 comparisons and additions in the first, in fp32),
// the last c or 2c more; all passes leave out tile pairs without a weight, the first those that score_bounds.hpp knows.
// Sparse rows take three passes of all in fp32, and so do all rows for e >= 4; others take four. Memory: 19 numbers a
// row, the lists, a bit for every pair of tiles.
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
/// Errors so many times larger than wanted shrink, whatever rounding does.
constexpr double rounding_at_work = 1024;
constexpr int power_sums = 3;  // S0, S1, S2 before all that a rule answers

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
  void choose_bins(const ScoreBounds &bounds);
  void start();
  void place_rows(RowKind kind);
  void pass(RowKind kind, int columns);
  int choose_lists();
  bool has_lists() const;
  double list(int places);
  struct Error {
    double sum = 0;     ///< largest |S0 - 1|
    double beyond = 0;  ///< the same without what rounding explains
  };
  Error collect(RowKind kind, int columns, bool step);
  void hand_over(const AnswerReader &take) const;
  /// A number as tiles read it.
  double rounded(double value) const {
    return shape_.precision == Precision::fp64 ? value : static_cast<double>(static_cast<float>(value));
  }
  /// What score_bins multiplies l with.
  static double bin_factor(const ThresholdRow &row) { return row.bins * row.s * ln_of_2; }

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

/// Bins for all scores that may have a weight: those within the weighing range of the largest, and those that are there
/// at all, whichever is less. Not narrower than 16 roundings of a score.
void Search::choose_bins(const ScoreBounds &bounds) {
  const std::vector<ScoreRange> ranges = bounds.known() ? bounds.ranges() : std::vector<ScoreRange>();
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    ThresholdRow &row = rows_[i];
    double range = weighing_range(row.e(), shape_.precision);
    if (bounds.known()) {
      const double rounding = 16 * accuracy_.rounding * ranges[i].size;
      const double apart = std::max((1 + 0x1p-10) * ranges[i].apart, request_.bins * rounding);
      range = std::clamp(row.s * apart, 0x1p-20 * range, range);
    }
    row.bins = request_.bins / range;
  }
}

void Search::start() {
  const ScoreBounds bounds(communicator_, shape_, own_, sources_, ring_.threads());
  // What is counted lies within all bins and one more of the largest. Bounds know of padding, too.
  const double width = (request_.bins + 1) * ln_of_2;
  std::vector<double> factors;  // (rows) of score_bins
  communicator_.agree([&] {
    choose_bins(bounds);
    factors.resize(rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) factors[i] = bin_factor(rows_[i]);
    own_.set_pass_scalars(factors, 0);
    if (request_.skip && bounds.known()) bits_ = bounds.near_pairs(factors, width);
    if (bits_.steps.empty() && request_.kept != nullptr) bits_ = *request_.kept;
  });
  pass(RowKind::score_bins, request_.bins);
  own_.finish(
      RowKind::score_bins, request_.bins,
      [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
        for (std::int64_t i = 0; i < count; ++i) {
          if (answers[i] < infinity && answers[i + 2 * stride] == 0) continue;  // no score
          ThresholdRow &row = rows_[static_cast<std::size_t>(first.value + i)];
          row.start({answers + i, stride, request_.bins, row.bins}, rounded(bin_factor(row)), accuracy_);
        }
      },
      ring_.threads());
  communicator_.agree([&] {
    for (std::size_t i = 0; i < rows_.size(); ++i)
      FLASHRING_CHECK(rows_[i].maximum < infinity, "scores: ", name_of(i), " has one of ", rows_[i].maximum,
                      "; scale the features down, or take fp64");
  });
}

/// The numbers of a rule to the tiles. A row that saw nothing gets some that nothing is weighed by.
void Search::place_rows(RowKind kind) {
  const std::size_t n = rows_.size();
  const auto count = static_cast<std::size_t>(row_rule(kind).own_scalars);
  std::vector<double> numbers(count * n);  // (rows, count) column-major
  for (std::size_t i = 0; i < n; ++i) {
    const ThresholdRow &row = rows_[i];
    double low = -1;  // y > -low and y > -high: what score_list lists, and sums
    double high = 0;
    if (row.window == infinity) {
      low = row.t - row.left;
      high = -2;
    } else if (row.window > 0) {
      low = row.window;
      high = -row.window;
    }
    const double room = 1 - row.t;
    const double of_row[] = {row.s * ln_of_2, row.seen() ? row.maximum / ln_of_2 : 0,
                             row.t,           room,
                             1 - row.left,    row.e_minus_1 - 1,
                             room + low,      room + high};
    for (std::size_t k = 0; k < count; ++k) numbers[k * n + i] = of_row[k];
  }
  own_.set_pass_scalars({numbers.data(), own_.local_rows(), static_cast<int>(count)}, 0);
}

bool Search::has_lists() const {
  TileShape shape = shape_;
  shape.row = RowKind::score_list;
  shape.columns = most_listed;
  return own_.backend().supports(shape);
}

/// Rows that are not done and have few scores above their left ends are to be listed whole, those with e < 2, whose
/// steps leave more than others', in a window around t. Returns for how many scores there must be places, 0 where that
/// is for too few rows. From e = 4 on one step does as well, which is cheaper than a long list.
int Search::choose_lists() {
  double places = 0;
  double listed = 0;
  double others = 0;
  for (ThresholdRow &row : rows_) {
    row.window = 0;
    if (!row.seen() || !(row.expected > accuracy_.wanted)) continue;
    const bool whole = row.above <= (row.e() < 4 ? most_listed : most_listed / 4);
    if (whole)
      row.window = infinity;
    else if (row.e() < 2)
      row.window = row.near;
    ++(row.window > 0 ? listed : others);
    if (row.window > 0) places = std::max(places, whole ? row.above : most_listed);
  }
  const bool worth = communicator_.sum(listed) > communicator_.sum(others) && has_lists();
  return worth ? static_cast<int>(communicator_.max(places)) : 0;
}

/// The pass of the lists; returns what is to be expected of the next one.
double Search::list(int places) {
  communicator_.agree([&] { place_rows(RowKind::score_list); });
  pass(RowKind::score_list, places);
  ++report_.iterations;
  own_.finish(
      RowKind::score_list, places,
      [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
        std::vector<double> scores;
        for (std::int64_t i = 0; i < count; ++i) {
          ThresholdRow &row = rows_[static_cast<std::size_t>(first.value + i)];
          const auto answer = [&](std::int64_t n) { return answers[n * stride + i]; };
          const PowerSums sums{answer(0), answer(1), answer(2)};
          const auto listed = static_cast<std::int64_t>(answer(power_sums));
          scores.clear();
          for (std::int64_t k = 0; k < std::min<std::int64_t>(listed, places); ++k)
            scores.push_back(answer(power_sums + 1 + k));
          if (!row.seen()) continue;
          if (row.window == 0)
            row.advance(sums, accuracy_);
          else if (listed <= places)
            row.solve(sums, scores, rounded(row.s * ln_of_2), accuracy_);
          else  // the histogram was too rough
            row.near *= list_filling * places / static_cast<double>(listed);
        }
      },
      ring_.threads());
  double expected = 0;
  for (const ThresholdRow &row : rows_) expected = row.seen() ? std::max(expected, row.expected) : expected;
  return communicator_.max(expected);
}

/// Of all ranks; after a step what is to be expected of the next pass.
Search::Error Search::collect(RowKind kind, int columns, bool step) {
  Error error;
  // A NaN becomes infinite: a maximum over ranks may lose it, or differ between them, and with it the passes.
  const auto raise = [](double &largest, double value) {
    largest = std::max(largest, std::isnan(value) ? infinity : value);
  };
  const auto take = [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(first.value + i);
      ThresholdRow &row = rows_[at];
      if (!row.seen()) continue;
      const PowerSums sums{answers[i], answers[stride + i], answers[2 * stride + i]};
      u_sum_[at] = sums.u;
      if (step) row.advance(sums, accuracy_);
      raise(error.sum, step ? row.expected : sums.error());
      raise(error.beyond, sums.error() - sums.noise(row.e(), row.t, accuracy_.rounding));
    }
  };
  own_.finish(kind, columns, take, 1, row_rule(kind).outputs(0));
  return {communicator_.max(error.sum), communicator_.max(error.beyond)};
}

void Search::hand_over(const AnswerReader &take) const {
  const RowKind kind = request_.second ? RowKind::threshold_sum : RowKind::power_sums;
  const int columns = shape_.columns;
  const std::int64_t outputs = row_rule(kind).outputs(columns) - power_sums;  // c or 2c
  const auto divide = [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
    std::vector<double> out(static_cast<std::size_t>(outputs * stride));
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t i = 0; i < count; ++i) {
        const double sum = o >= columns ? answers[stride + i] : request_.ensure_sum_one ? answers[i] : 1;
        const double value = answers[(power_sums + o) * stride + i];
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
    bool last = expected <= accuracy_.wanted || report_.iterations >= most_steps;
    if (const int places = last ? 0 : choose_lists(); places > 0) {
      expected = list(places);
      continue;
    }
    const RowKind kind = last ? output : RowKind::power_sums;
    const int columns = last ? shape_.columns : 0;
    communicator_.agree([&] { place_rows(kind); });
    pass(kind, columns);
    const Error error = collect(kind, columns, false);
    report_.sum_error = error.sum;
    const bool stuck = error.sum < rounding_at_work * accuracy_.wanted && !(error.sum < last_error / 2);
    done = last && (error.beyond <= accuracy_.wanted || stuck || report_.iterations >= most_steps);
    if (done) break;
    last_error = report_.sum_error;
    expected = collect(kind, columns, true).sum;
    if (last || stuck) expected = 0;
    ++report_.iterations;
  }
  if (take) communicator_.agree([&] { hand_over(take); });
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
  FLASHRING_CHECK(request.bins >= 1 && request.bins <= max_columns, "bins = ", request.bins, "; 1 to ", max_columns);
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

ThresholdResult threshold_attention(const Communicator &communicator, Ring &ring, TileShape shape, TileBlock &own,
                                    TileBlock &sources, const ThresholdRequest &request, const AnswerReader &take) {
  FLASHRING_REQUIRE(&own != &sources, "queries and keys have numbers of their own: give two blocks");
  communicator.agree([&] { check_request(own, shape, request); });
  return Search(communicator, ring, shape, own, sources, request).run(take);
}

}  // namespace flashring
