// The metric of a diffusion map.
//
//   1. Gamma of psi_1 ... psi_c for all pairs (carre_du_champ.hpp), with the scaling that the map was made with.
//   2. For every point h_kl = s_k Gamma_kl s_l, s_k = (4 beta)^(1/2) lambda_k^t; its eigenvalues and vectors by LAPACK;
//      the inverse on the m largest of them; the participation ratio of all.
//
// The participation ratio (sum e)^2 / sum e^2 is the dimension of h where its e are alike, and never above its rank: a
// direction counts by how much the coordinates see of it. It needs no threshold, which the largest gap of the e does
// where noise or a small bandwidth's second order leaves eigenvalues of all sizes.
//
// Cost: the passes, and N/P (10 c^3) operations. Memory: N/P (3 c^2 + 2 c) numbers. References: Perrault-Joncas, Meila,
// arXiv:1305.7255; Berry, Sauer, Appl. Comput. Harmon. Anal. 40 (2016) 439.
#include "flashring/metric.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flashring/carre_du_champ.hpp"
#include "flashring/check.hpp"
#include "methods/symmetric_eigen.hpp"

namespace flashring {
namespace {

void check_request(const KernelOperator &op, const Results &map, int rank) {
  const auto n = static_cast<std::size_t>(op.local_rows());
  FLASHRING_REQUIRE(map.rows == op.rows() && map.weight.size() == n && map.degree.size() == n &&
                        map.right.size() == n * static_cast<std::size_t>(map.pairs),
                    "a map of ", map.rows, " points for an operator of ", op.rows());
  check_metric(op.options().pair, map.pairs, rank);
  for (std::size_t k = 1; k < map.eigenvalues.size(); ++k)
    FLASHRING_CHECK(!std::isnan(std::pow(map.eigenvalues[k], map.time)), "eigenvalue ", k, " is ", map.eigenvalues[k],
                    " and has no power t = ", map.time, "; take fewer pairs, or a map with a whole time");
}

/// s_k = (4 beta)^(1/2) lambda_k^t.
std::vector<double> scale_of(const KernelOperator &op, const Results &map) {
  std::vector<double> scale;
  const double root = std::sqrt(4 * op.options().pair.parameters[0]);
  for (std::size_t k = 1; k < map.eigenvalues.size(); ++k)
    scale.push_back(root * std::pow(map.eigenvalues[k], map.time));
  return scale;
}

/// Matrices (rows, c, c) from packed triangles, (rows, c(c+1)/2) column-major.
std::vector<double> unpack(const std::vector<double> &packed, std::size_t rows, std::size_t c) {
  std::vector<double> full(rows * c * c);
  for (std::size_t l = 0; l < c; ++l)
    for (std::size_t k = 0; k <= l; ++k)
      for (std::size_t i = 0; i < rows; ++i)
        full[(i * c + k) * c + l] = full[(i * c + l) * c + k] = packed[(l * (l + 1) / 2 + k) * rows + i];
  return full;
}

double participation(const std::vector<double> &values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  const double squares = std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
  return squares > 0 ? sum * sum / squares : 0;
}

/// Adds the inverse of the `rank` largest eigenvalues to (c, c), and says how many of them there are.
int invert(const SymmetricEigen &eigen, int rank, double smallest, double *inverse) {
  const std::size_t c = eigen.values.size();
  int found = 0;
  for (; found < rank && eigen.values[static_cast<std::size_t>(found)] > smallest; ++found) {
    const double *vector = eigen.vectors.data() + static_cast<std::size_t>(found) * c;
    for (std::size_t k = 0; k < c; ++k)
      for (std::size_t l = 0; l < c; ++l)
        inverse[k * c + l] += vector[k] * vector[l] / eigen.values[static_cast<std::size_t>(found)];
  }
  return found;
}

/// All that follows from gamma and scale.
void decompose(Precision precision, Metric &metric) {
  const auto c = static_cast<std::size_t>(metric.coordinates);
  const std::size_t rows = metric.gamma.size() / (c * c);
  const double roundoff = precision == Precision::fp64 ? 0x1p-53 : 0x1p-24;
  metric.inverse.assign(metric.gamma.size(), 0.0);
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<double> h(metric.gamma.begin() + static_cast<std::ptrdiff_t>(i * c * c),
                          metric.gamma.begin() + static_cast<std::ptrdiff_t>((i + 1) * c * c));
    for (std::size_t at = 0; at < h.size(); ++at) h[at] *= metric.scale[at / c] * metric.scale[at % c];
    const SymmetricEigen eigen = symmetric_eigen(std::move(h), c);
    const double smallest = static_cast<double>(c) * roundoff * eigen.values.front();
    const int found = invert(eigen, metric.rank, smallest, metric.inverse.data() + i * c * c);
    metric.lacking += found < metric.rank ? 1 : 0;
    metric.eigenvalues.insert(metric.eigenvalues.end(), eigen.values.begin(), eigen.values.end());
    metric.dimension.push_back(participation(eigen.values));
  }
}

}  // namespace

void check_metric(const PairFunction &pair, int pairs, int rank) {
  FLASHRING_CHECK(pair.kind == PairKind::gaussian, "the metric of a map with ", to_string(pair),
                  ": its scale, 4 beta, is that of the gaussian; make the map with it");
  FLASHRING_CHECK(pairs >= 2, "the map has ", pairs, " eigenpairs, and a coordinate needs two");
  FLASHRING_CHECK(rank >= 1 && rank < pairs, "rank ", rank, " of the metric is outside [1, ", pairs - 1,
                  "], the number of coordinates");
}

Metric metric(KernelOperator &op, const Results &map, int rank) {
  const Communicator &communicator = op.communicator();
  communicator.agree([&] { check_request(op, map, rank); });
  Metric metric;
  metric.coordinates = map.pairs - 1;
  metric.rank = rank;
  metric.scale = scale_of(op, map);
  CarreDuChamp champ(op, markov_scaling(map.weight, map.degree, map.measure));
  metric.passes = champ.passes(metric.coordinates);
  const auto rows = static_cast<std::size_t>(op.local_rows());
  const std::vector<double> packed = champ.apply(map.right.data() + rows, op.local_rows(), metric.coordinates);
  communicator.agree([&] {  // a rank without room says so to all
    metric.gamma = unpack(packed, rows, static_cast<std::size_t>(metric.coordinates));
    decompose(op.options().precision, metric);
  });
  metric.lacking = communicator.sum(metric.lacking);
  return metric;
}

RunPlan plan_metric(const Communicator &communicator, const OperatorOptions &options, const ModelSummary &model,
                    int pairs) {
  const PointShape shape = model.shape;
  RunPlan plan = start_plan(communicator, options, shape);
  const double rows = std::ceil(static_cast<double>(shape.rows) / plan.ranks);  // of the rank that has most
  const double coordinates = pairs - 1;
  const double map = 8 * rows * (pairs + 3);
  const double packed = 8 * rows * coordinates * (coordinates + 1) / 2;
  OperatorOptions resolved = options;
  resolved.points_memory = plan.points_memory.value;
  std::vector<MemoryPart> tiles =
      difference_memory(resolved, shape, plan.ranks, std::min(pairs - 1, max_columns), plan.exchange.value);
  tiles.push_back({"vectors of the map", map});
  // Code and tables of MPI, HDF5 and OpenMP that the program as started had not touched: measured, whatever N.
  tiles.push_back({"libraries at work", 8e6});
  PlanPhase passes{"passes", tiles};
  passes.memory.push_back({"functions and their products", 8 * rows * (coordinates + 3) + 2 * packed});
  PlanPhase metric{"metric", tiles};
  metric.memory.push_back(
      {"matrices of the points", packed + 8 * rows * (2 * coordinates * coordinates + coordinates)});
  const PlanPhase reading{"reading",
                          {{"points or vectors as they come", 8 * rows * std::max(shape.features, model.pairs)},
                           {"vectors of the map", map}}};
  plan.phases = {reading, passes, metric};
  return plan;
}

}  // namespace flashring
