// What a user should know about a diffusion map, in words. No pass over pairs: effective neighbours are 1/P_ii.
#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "flashring/diffusion_map.hpp"

namespace flashring {
namespace {

/// n_i = 1/P_ii: 1 for an isolated point, N for a rank-one kernel, of the rows of this rank that are not killed.
std::vector<double> effective_neighbours(KernelOperator &op) {
  std::vector<double> values(static_cast<std::size_t>(op.local_rows()));
  op.diagonal(values);
  const std::span<const double> weight = op.weight();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (weight[i] > 0) values[kept++] = values[i];
  values.resize(kept);
  // P_ii underflows to 0 where the self-weight is far below the row's others (inner_exp with negative s).
  for (double &value : values) value = std::min(1 / value, 1e300);
  return values;
}

/// Lower median over all ranks, to 1e-9 relative, by bisection on counts: no gather of N numbers.
double median(const Communicator &communicator, const std::vector<double> &values, double lowest, double highest) {
  const std::int64_t total = communicator.sum(static_cast<std::int64_t>(values.size()));
  while (highest > lowest * (1 + 1e-9)) {
    const double middle = std::sqrt(lowest) * std::sqrt(highest);
    std::int64_t below = std::count_if(values.begin(), values.end(), [&](double v) { return v <= middle; });
    below = communicator.sum(below);
    (2 * below >= total ? highest : lowest) = middle;
  }
  return highest;
}

std::string text(const std::ostringstream &stream) { return stream.str(); }

void diagnose_neighbours(KernelOperator &op, std::vector<std::string> &found) {
  const Communicator &communicator = op.communicator();
  const std::vector<double> n = effective_neighbours(op);
  double lowest = HUGE_VAL;
  double highest = 0;
  std::int64_t isolated = 0;
  for (const double value : n) {
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
    isolated += value < 1.0001 ? 1 : 0;
  }
  lowest = communicator.min(lowest);
  highest = communicator.max(highest);
  isolated = communicator.sum(isolated);
  const double middle = median(communicator, n, lowest, highest);
  std::ostringstream line;
  line << std::setprecision(4) << "effective neighbours per point: min " << lowest << ", median " << middle << ", max "
       << highest;
  found.push_back(text(line));
  if (isolated > 0) {
    std::ostringstream alone;
    alone << "isolated points: " << isolated << " of " << op.rows()
          << " have no weight but their own; remove them or widen the kernel";
    found.push_back(text(alone));
  }
  if (middle < 1.1 && op.rows() > 1)
    found.emplace_back("the kernel is so narrow that P is nearly the identity; lower beta (or raise the length scale)");
}

void diagnose_spectrum(const Results &results, double next_value, std::vector<std::string> &found) {
  const std::vector<double> &values = results.eigenvalues;
  if (values.empty()) return;
  const double noise = *std::max_element(results.residuals.begin(), results.residuals.end());
  const double width = std::max(1e-9, 10 * noise);
  const auto ones = std::count_if(values.begin(), values.end(), [&](double v) { return v > 1 - width; });
  if (ones > 1) {
    std::ostringstream line;
    line << "disconnected graph: " << ones << " eigenvalues are 1, so the points fall into at least " << ones
         << " parts that do not see each other; lower beta (or raise the length scale)";
    found.push_back(text(line));
  }
  if (values.size() > 1 && values[1] < 1e-3 && values[1] > -0.5)
    found.emplace_back("the kernel is so wide that M is nearly of rank one; raise beta (or lower the length scale)");
  if (!std::isnan(next_value) && values.back() - next_value < std::max(1e-8 * std::abs(values.back()), width)) {
    std::ostringstream line;
    line << "the cut after pair " << values.size() - 1 << " goes through a cluster of equal eigenvalues ("
         << std::setprecision(12) << values.back() << ", next " << next_value
         << "); vectors of that cluster are not unique, ask for more or fewer pairs";
    found.push_back(text(line));
  }
}

}  // namespace

std::vector<std::string> diagnose(KernelOperator &op, const Results &results, double next_value) {
  std::vector<std::string> found;
  diagnose_neighbours(op, found);
  diagnose_spectrum(results, next_value, found);
  return found;
}

}  // namespace flashring
