// Diffusion map: eigenpairs of M = diag(r) K diag(r), then back to the Markov operator P.
//
//   psi_k = v_k (sum m d)^(1/2) / (m d)^(1/2),  pi = m d / sum m d,  phi_k = pi psi_k,  <psi_k, psi_l>_pi = delta_kl
//
// The residual |M v - lambda v| equals |P psi - lambda psi|_pi / |psi|_pi. Reference: Coifman, Lafon, Appl. Comput.
// Harmon. Anal. 21 (2006) 5.
#include "flashring/diffusion_map.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/pages.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

/// Distance of every value to its nearest neighbour in the spectrum; `next` is the estimate after the last one.
std::vector<double> gaps(const std::vector<double> &values, double next) {
  std::vector<double> found(values.size(), std::numeric_limits<double>::infinity());
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (k > 0) found[k] = std::min(found[k], values[k - 1] - values[k]);
    if (k + 1 < values.size())
      found[k] = std::min(found[k], values[k] - values[k + 1]);
    else if (!std::isnan(next))
      found[k] = std::min(found[k], values[k] - next);
    found[k] = std::max(found[k], 0.0);
  }
  return found;
}

void back_transform(KernelOperator &op, std::span<const double> tie, Results &results) {
  const auto n = static_cast<std::size_t>(op.local_rows());
  const std::span<const double> degree = op.degree();
  results.pi.assign(degree.begin(), degree.end());
  if (op.weighted())
    for (std::size_t i = 0; i < n; ++i) results.pi[i] *= op.measure()[i];
  const double total = op.communicator().sum(std::accumulate(results.pi.begin(), results.pi.end(), 0.0));
  for (double &mass : results.pi) mass /= total;
  for (std::size_t at = 0; at < results.right.size(); ++at)
    results.right[at] = results.pi[at % n] > 0 ? results.right[at] / std::sqrt(results.pi[at % n]) : 0;
  fix_signs(op, tie, results.right);
  results.degree.assign(degree.begin(), degree.end());
  results.weight.assign(op.weight().begin(), op.weight().end());
  results.doob_h.assign(op.doob_h().begin(), op.doob_h().end());
}

/// What was copied out of a solver's basis must prove itself: pairs from the first that does not on are dropped.
void drop_unproven(double tolerance, EigenPairs &pairs, std::vector<double> &measured) {
  std::size_t good = 0;
  while (good < measured.size() && measured[good] <= 10 * tolerance * std::abs(pairs.values[0])) ++good;
  const std::size_t rows = measured.empty() ? 0 : pairs.vectors.size() / measured.size();
  measured.resize(good);
  pairs.values.resize(good);
  pairs.vectors.resize(good * rows);
}

/// Residuals of the pairs that a solver found, in fp64 and whatever comes: what has converged is measured and written.
std::vector<double> measure(KernelOperator &op, EigenPairs &pairs) {
  release_free_memory();  // that of the solver
  const std::function<bool()> stop = op.stop();
  op.set_stop({});
  std::vector<double> measured = residuals(op, pairs.values, pairs.vectors);
  op.set_stop(stop);
  if (pairs.interrupted) drop_unproven(pairs.tolerance, pairs, measured);
  return measured;
}

/// h = v_0 / (m d)^(1/2), its largest entry 1, of the first vector of a killed operator; 0 outside the set.
std::vector<double> ground_state(KernelOperator &op, const std::vector<double> &vectors) {
  const std::vector<double> root_law = op.root_law();
  const std::span<const double> inside = op.doob_h();
  const auto n = static_cast<std::size_t>(op.local_rows());
  const double total =
      op.communicator().sum(std::accumulate(vectors.begin(), vectors.begin() + std::ssize(root_law), 0.0));
  std::vector<double> h(n);
  for (std::size_t i = 0; i < n; ++i) h[i] = inside[i] * std::copysign(1.0, total) * vectors[i] / root_law[i];
  const double largest = op.communicator().max(n == 0 ? 0.0 : *std::max_element(h.begin(), h.end()));
  for (double &value : h) value /= largest;
  op.communicator().agree([&] {
    for (std::size_t i = 0; i < n; ++i)
      FLASHRING_CHECK(h[i] > 0 || inside[i] == 0, "Perron vector of P on the set: row ",
                      op.global_row(LocalRow{static_cast<std::int64_t>(i)}).value, " has ", h[i],
                      " of its largest entry: the set falls into parts, or entries are smaller than the error of the "
                      "vector; take a smaller set, a wider kernel, or a smaller -eps_tol");
  });
  return h;
}

/// From P on a set to its Doob transform by the Perron pair: the vectors stay, the values are divided by the first one,
/// which is returned. One pass.
double transform_by_ground_state(KernelOperator &op, EigenPairs &pairs) {
  if (pairs.values.empty())
    throw Error("the Perron pair of P on the set has not converged: raise -eps_max_it or -eps_ncv", true);
  const double first = pairs.values.front();
  const std::function<bool()> stop = op.stop();
  op.set_stop({});
  op.transform(ground_state(op, pairs.vectors));
  op.degree();
  op.set_stop(stop);
  for (double &value : pairs.values) value /= first;
  pairs.next_value /= first;
  return first;
}

/// Passes in lower precisions had larger errors than their noise told.
bool ramp_failed(const KernelOperator &op, const EigenPairs &pairs, const std::vector<double> &measured) {
  constexpr double rounding = 2;  // the solver's own estimates are good to such a factor
  if (!pairs.complete || precisions_of(op.options()).size() == 1) return false;
  for (std::size_t k = 0; k < measured.size(); ++k)
    if (measured[k] > rounding * pairs.tolerance * std::abs(pairs.values[k])) return true;
  return false;
}

/// Pairs and their residuals.
struct Proven {
  EigenPairs pairs;
  std::vector<double> residuals;
  bool again = false;  ///< the ramp failed, and the working precision alone has served
  double perron_value = std::numeric_limits<double>::quiet_NaN();  ///< of an operator that was killed
};

/// Goes on in the working precision alone, from the vectors that are there.
EigenPairs solve_again(Mat A, KernelOperator &op, EigenRequest request, EigenPairs &found) {
  op.end_ramp();
  request.before_first_pass = {};
  request.restart.clear();
  request.start = [&found](int /*columns*/) { return std::move(found.vectors); };
  return eigensolve(A, request);
}

Proven solve(Mat A, KernelOperator &op, const EigenRequest &request) {
  Proven found{eigensolve(A, request), {}};
  if (op.killed()) found.perron_value = transform_by_ground_state(op, found.pairs);
  found.residuals = measure(op, found.pairs);
  if (!ramp_failed(op, found.pairs, found.residuals)) return found;
  EigenRequest once_more = request;
  if (!std::isnan(found.perron_value)) once_more.checkpoint.clear();  // a restart begins with the killed operator
  found.pairs = solve_again(A, op, once_more, found.pairs);
  found.again = true;
  found.residuals = measure(op, found.pairs);
  return found;
}

}  // namespace

void fix_signs(const KernelOperator &op, std::span<const double> tie, std::vector<double> &columns) {
  const auto n = static_cast<std::size_t>(op.local_rows());
  const std::size_t count = tie.size();
  std::vector<double> largest(count, 0.0);
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t i = 0; i < n; ++i) largest[k] = std::max(largest[k], std::abs(columns[k * n + i]));
  op.communicator().max(std::span<double>(largest));
  // The lowest row within the tie, encoded so that one maximum over ranks finds it with its sign: rows count down from
  // 2^52, and the lowest bit is the sign.
  std::vector<double> deciding(count, -1.0);
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t i = 0; i < n; ++i) {
      const double value = columns[k * n + i];
      if (std::abs(value) < (1 - tie[k]) * largest[k]) continue;
      const std::int64_t row = op.global_row(LocalRow{static_cast<std::int64_t>(i)}).value;
      deciding[k] = std::max(deciding[k], 2 * (0x1p51 - static_cast<double>(row)) + (value > 0 ? 1 : 0));
    }
  op.communicator().max(std::span<double>(deciding));
  for (std::size_t k = 0; k < count; ++k)
    if (std::fmod(deciding[k], 2.0) == 0.0)
      for (std::size_t i = 0; i < n; ++i) columns[k * n + i] = -columns[k * n + i];
}

namespace {

/// What results say of the operator itself.
void describe_operator(const KernelOperator &op, Results &results) {
  results.rows = op.rows();
  results.features = op.features();
  results.alpha = op.options().alpha;
  results.normalization = op.targeted() ? "target" : to_string(op.options().normalization);
  results.mean.assign(op.mean().begin(), op.mean().end());
  results.log_shift = op.log_shift();
  if (op.weighted()) results.measure.assign(op.measure().begin(), op.measure().end());
}

}  // namespace

void check_time(const PairFunction &pair, double time) {
  FLASHRING_CHECK(std::isfinite(time) && time >= 0, "-time: ", time, " is not a finite number of at least 0");
  FLASHRING_CHECK(is_positive_semidefinite(pair) || time == std::floor(time), "-time: ", time,
                  " is no whole number, and -pair ", to_string(pair),
                  " may have negative eigenvalues, which have no such power; take -time ",
                  std::max(1.0, std::round(time)));
}

DiffusionMap diffusion_map(Mat A, KernelOperator &op, const DiffusionMapRequest &request) {
  FLASHRING_REQUIRE(op.options().form == Form::symmetric, "a diffusion map needs form symmetric");
  check_time(op.options().pair, request.time);  // the same on every rank
  EigenRequest eigen = request.eigen;
  if (!eigen.start) eigen.start = [&](int columns) { return nystrom_start(op, request.nystrom, columns); };
  auto [pairs, measured, again, perron_value] = solve(A, op, eigen);
  op.set_stop({});
  DiffusionMap map;
  map.complete = pairs.complete;
  map.interrupted = pairs.interrupted;
  map.status = pairs.status;
  map.solver = pairs.solver;
  if (pairs.interrupted && pairs.values.empty()) throw Interrupted(pairs.status);
  Results &results = map.results;
  describe_operator(op, results);
  results.pairs = static_cast<int>(pairs.values.size());
  results.time = request.time;
  results.eigenvalues = pairs.values;
  results.perron_value = perron_value;
  results.residuals = std::move(measured);
  const std::vector<double> gap = gaps(pairs.values, pairs.next_value);
  std::vector<double> tie;
  for (std::size_t k = 0; k < gap.size(); ++k) {
    results.residual_over_gap.push_back(gap[k] > 0 ? results.residuals[k] / gap[k] : HUGE_VAL);
    tie.push_back(std::min(0.5, std::max(1e-9, 10 * results.residual_over_gap[k])));
  }
  results.right = std::move(pairs.vectors);
  back_transform(op, tie, results);
  results.diagnoses = diagnose(op, results, pairs.next_value);
  results.diagnoses.insert(results.diagnoses.end(), pairs.findings.begin(), pairs.findings.end());
  if (again)
    results.diagnoses.emplace_back(
        "precision: residuals of passes in lower precisions missed -eps_tol, so the solver went on in the working "
        "precision alone (-ramp none begins there)");
  return map;
}

}  // namespace flashring
