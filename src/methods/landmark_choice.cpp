// Which rows become landmarks. All draws are counter-based keys of global rows, so any number of ranks draws the same.
//
//   uniform    m rows without replacement: the smallest keys. Cost: N/P keys.
//   kmeans++   on uniform rows, the next landmark is a row drawn with probability ~ D^2, its squared distance to the
//              nearest landmark so far. A landmark weighs the sampled rows nearest to it. Rows: 10 m, or fewer that
//              take 2e8 operations (a tenth of a second), but at least 2 m. Cost: rows m d on rank 0.
//   leverage   without replacement with probability ~ ridge leverage l of M = diag(s) K diag(s), from m uniform rows S:
//                l_i = M_ii - M_iS (M_SS + lambda)^-1 M_Si,  lambda = sum_{k > columns} mu_k(M_SS) / columns,
//              the smallest of -ln(u_i)/l_i with uniform u_i. A landmark weighs one over its probability.
//              Cost: m/64 products with m landmarks, m^2 N/64 pairs of points.
//
// References: Arthur, Vassilvitskii, SODA 2007, 1027; Musco, Musco, NIPS 2017; Efraimidis, Spirakis, Inf. Process.
// Lett. 97 (2006) 181.
#include "methods/landmark_choice.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/landmark_operator.hpp"
#include "flashring/random.hpp"
#include "methods/symmetric_eigen.hpp"
#include "points/row_sample.hpp"

namespace flashring {
namespace {

// Minors of the counters of RandomStream::landmarks.
constexpr std::uint64_t uniform_minor = 0, distance_minor = 1, leverage_minor = 2;

std::vector<GlobalRow> uniform_rows(const KernelOperator &op, std::int64_t count, std::uint64_t seed) {
  const Communicator &communicator = op.communicator();
  const std::vector<double> keys =
      uniform_keys(op.partition(), communicator.rank(), seed, RandomStream::landmarks, uniform_minor);
  return smallest_rows(communicator, op.partition(), keys, count);
}

/// Distances of a sample of points, as tiles have them, to the nearest of those that were chosen from it, as the
/// formula reads them.
class NearestChosen {
 public:
  NearestChosen(std::span<const double> points, const PairFunction &pair, int features)
      : points_(points),
        pair_(pair),
        features_(features),
        numbers_(static_cast<std::size_t>(point_numbers(pair, features))),
        nearest_(points.size() / numbers_) {
    squared_.assign(nearest_.size(), std::numeric_limits<double>::infinity());
  }

  void choose(std::size_t at) {
    const double *z = points_.data() + at * numbers_;
    for (std::size_t i = 0; i < squared_.size(); ++i) {
      const double squared = std::max(0.0, argument_of(pair_, features_, points_.data() + i * numbers_, z));
      if (squared >= squared_[i]) continue;
      squared_[i] = squared;
      nearest_[i] = chosen_;
    }
    ++chosen_;
  }

  /// The point where the running sum of squared distances passes that part of the whole; none where all are zero.
  std::size_t draw(double part) const {
    double total = 0;
    for (const double square : squared_) total += square;
    double left = part * total;
    std::size_t last = squared_.size();
    for (std::size_t i = 0; i < squared_.size(); ++i) {
      if (squared_[i] == 0) continue;
      last = i;
      left -= squared_[i];
      if (left <= 0) break;
    }
    return last;
  }

  std::vector<double> counts() const {
    std::vector<double> found(chosen_, 0.0);
    for (const std::size_t landmark : nearest_) ++found[landmark];
    return found;
  }

 private:
  std::span<const double> points_;  // (points, numbers)
  PairFunction pair_;
  int features_;
  std::size_t numbers_;
  std::size_t chosen_ = 0;
  std::vector<double> squared_;       // (points)
  std::vector<std::size_t> nearest_;  // (points)
};

LandmarkChoice kmeans_landmarks(KernelOperator &op, const LandmarkRequest &request) {
  const std::int64_t most =
      sampled_rows("kmeans++", request.count, op.rows(), point_numbers(op.options().pair, op.features()));
  const std::vector<GlobalRow> sample = uniform_rows(op, most, request.seed);
  const std::vector<double> points = op.gather_points(sample);
  const std::vector<double> drawn = from_first_rank(op.communicator(), [&] {  // places, then counts
    NearestChosen state(points, op.options().pair, op.features());
    std::vector<double> places;
    for (std::size_t at = 0; at < sample.size();) {
      places.push_back(static_cast<double>(at));
      state.choose(at);
      if (static_cast<std::int64_t>(places.size()) == request.count) break;
      at = state.draw(random_uniform(request.seed, RandomStream::landmarks, places.size(), distance_minor));
    }
    const std::vector<double> counts = state.counts();
    places.insert(places.end(), counts.begin(), counts.end());
    return places;
  });
  LandmarkChoice choice;
  for (std::size_t k = 0; 2 * k < drawn.size(); ++k) choice.rows.push_back(sample[static_cast<std::size_t>(drawn[k])]);
  choice.weights.assign(drawn.begin() + static_cast<std::ptrdiff_t>(choice.rows.size()), drawn.end());
  return choice;
}

/// diag(s) Q (mu + lambda)^-1/2 of the sampled matrix, (m, m), so that the squares of a row of K times it add up to
/// what the sample explains.
std::vector<double> ridge_factor(LandmarkOperator &sample, std::span<const double> scale, int columns) {
  const std::size_t m = scale.size();
  SymmetricEigen eigen = symmetric_eigen(scaled_among(sample.among(), scale), m);
  double tail = 0;
  for (std::size_t k = static_cast<std::size_t>(columns); k < m; ++k) tail += std::max(eigen.values[k], 0.0);
  // Not below the rounding of the eigenvalues, where it would divide by nothing.
  const double rounding = static_cast<double>(m) * std::numeric_limits<double>::epsilon() * eigen.values[0];
  const double lambda = std::max(tail / columns, rounding);
  for (std::size_t k = 0; k < m; ++k) {
    const double root = std::sqrt(std::max(eigen.values[k], 0.0) + lambda);
    for (std::size_t j = 0; j < m; ++j) eigen.vectors[k * m + j] *= scale[j] / root;
  }
  return std::move(eigen.vectors);
}

/// Ridge leverage of the rows of this rank, up to a common factor, (local_rows).
std::vector<double> leverage(KernelOperator &op, const LandmarkRequest &request) {
  const std::vector<GlobalRow> rows = uniform_rows(op, request.count, request.seed);
  LandmarkOperator sample(op, op.gather_points(rows));
  const std::vector<double> scale = values_at(op, request.scale, rows);
  const std::vector<double> factor =
      from_first_rank(op.communicator(), [&] { return ridge_factor(sample, scale, request.columns); });
  const auto n = static_cast<std::size_t>(op.local_rows());
  const std::size_t m = rows.size();
  std::vector<double> scores = op.self_weights();
  for (std::size_t i = 0; i < n; ++i) scores[i] *= request.scale[i] * request.scale[i];
  const std::vector<double> whole = scores;  // M_ii
  std::vector<double> product(n * std::min<std::size_t>(m, max_columns));
  for (std::size_t first = 0; first < m; first += max_columns) {
    const std::size_t columns = std::min<std::size_t>(max_columns, m - first);
    SumRequest sum{factor.data() + first * m, sample.count(), product.data(), op.local_rows(),
                   static_cast<int>(columns)};
    sum.left = request.scale;
    sample.apply(sum);
    for (std::size_t at = 0; at < columns * n; ++at) scores[at % n] -= product[at] * product[at];
  }
  // What is left of M_ii is known to rounding of m terms.
  const double rounding = static_cast<double>(m) * std::numeric_limits<double>::epsilon();
  for (std::size_t i = 0; i < n; ++i) scores[i] = std::max(scores[i], rounding * whole[i]);
  return scores;
}

/// c with sum_i min(1, c score_i) = count over all ranks: rows of large scores are certain, the others share what is
/// left.
double inclusion_factor(const Communicator &communicator, const std::vector<double> &scores, std::int64_t count) {
  double factor = 0;
  for (int round = 0; round < 30; ++round) {
    double open[2] = {0, 0};  // how many are certain, the sum of the others
    for (const double score : scores) {
      const bool certain = factor * score >= 1;
      open[0] += certain ? 1 : 0;
      open[1] += certain ? 0 : score;
    }
    communicator.sum(std::span<double>(open));
    const double next = (static_cast<double>(count) - open[0]) / open[1];
    if (!(next > factor)) break;
    factor = next;
  }
  return factor;
}

LandmarkChoice leverage_landmarks(KernelOperator &op, const LandmarkRequest &request) {
  const Communicator &communicator = op.communicator();
  const std::vector<double> scores = leverage(op, request);
  std::vector<double> keys =
      uniform_keys(op.partition(), communicator.rank(), request.seed, RandomStream::landmarks, leverage_minor);
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = -std::log(keys[i]) / scores[i];
  LandmarkChoice choice;
  choice.rows = smallest_rows(communicator, op.partition(), keys, request.count);
  const double factor = inclusion_factor(communicator, scores, request.count);
  for (const double score : values_at(op, scores, choice.rows))
    choice.weights.push_back(1 / std::min(1.0, factor * score));
  return choice;
}

}  // namespace

void check_landmark_rule(const std::string &rule) {
  FLASHRING_CHECK(rule == "uniform" || rule == "kmeans++" || rule == "leverage" || rule == "none", "landmarks '", rule,
                  "' are not known; take uniform, kmeans++, leverage or none");
}

std::int64_t sampled_rows(const std::string &rule, std::int64_t count, std::int64_t rows, int numbers) {
  if (rule == "leverage") return count;
  if (rule != "kmeans++") return 0;
  const std::int64_t cheap = 200000000 / (count * numbers);
  return std::min(rows, std::clamp(cheap, 2 * count, 10 * count));
}

std::vector<double> values_at(const KernelOperator &op, std::span<const double> values,
                              std::span<const GlobalRow> rows) {
  std::vector<double> found(rows.size(), 0.0);
  for (std::size_t k = 0; k < rows.size(); ++k)
    if (const auto local = op.partition().local_row(op.communicator().rank(), rows[k]))
      found[k] = values[static_cast<std::size_t>(local->value)];
  op.communicator().sum(std::span<double>(found));
  return found;
}

std::vector<double> scaled_among(std::vector<double> among, std::span<const double> scale) {
  const std::size_t m = scale.size();
  for (std::size_t j = 0; j < m; ++j)
    for (std::size_t i = 0; i < m; ++i) among[j * m + i] *= scale[i] * scale[j];
  return among;
}

LandmarkChoice choose_landmarks(KernelOperator &op, const LandmarkRequest &request) {
  if (request.rule == "kmeans++") return kmeans_landmarks(op, request);
  // All rows are no choice.
  if (request.rule == "leverage" && request.count < op.rows()) return leverage_landmarks(op, request);
  LandmarkChoice choice{uniform_rows(op, request.count, request.seed), {}};
  choice.weights.assign(choice.rows.size(), 1.0);
  return choice;
}

}  // namespace flashring
