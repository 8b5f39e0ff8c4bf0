// Sweeps: the order of the maps, and what one hands on to the next.
//
// P of neighbouring parameters has nearly the same eigenfunctions psi, while its law pi moves with alpha and beta. So
// the next solution starts from (m d)^(1/2) o psi with its own degree d, not from the vectors (m d)^(1/2) o psi of the
// last one: psi_0 = 1 is exact then. The solver adds vectors beyond a block to its columns in turn
// (src/solve/block_krylov.cpp).
//
// Swiss roll of 4,000 random points, ten pairs to 1e-8, blocks of 8, passes from random vectors / landmarks / the
// neighbour: beta 0.5 to 0.525: 62 / 56 / 44; to 1: 100 / 93 / 82; alpha 1 to 0.9: 59 / 52 / 43. DESIGN.md has more.
#include "flashring/sweep.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "flashring/check.hpp"
#include "flashring/fingerprint.hpp"

namespace flashring {
namespace {

/// The texts between commas; numbers that -NAME takes, each once. Nothing where the list is empty.
std::vector<std::string> read_list(const std::string &name, std::string_view list) {
  std::vector<std::string> texts;
  if (list.empty()) return texts;
  std::vector<double> numbers;
  for (std::size_t at = 0; at != std::string_view::npos;) {
    const std::size_t comma = list.find(',', at);
    const std::string text(list.substr(at, comma == std::string_view::npos ? comma : comma - at));
    const std::string place = detail::concatenate("-", name, "_list, value ", texts.size() + 1);
    const double number = parse_real(place, text);
    try {
      OperatorOptions().set(name, text);
    } catch (const Error &error) {
      throw Error(place + ": " + error.what());
    }
    const auto twin = std::find(numbers.begin(), numbers.end(), number);
    FLASHRING_CHECK(twin == numbers.end(), place, ": ", text, " is value ", twin - numbers.begin() + 1,
                    " again; give every value once");
    numbers.push_back(number);
    texts.push_back(text);
    at = comma == std::string_view::npos ? comma : comma + 1;
  }
  return texts;
}

std::string folder_name(const SweepPoint &point) {
  std::string name = point.beta.empty() ? "" : "beta_" + point.beta;
  if (!point.alpha.empty()) name += (name.empty() ? "alpha_" : "_alpha_") + point.alpha;
  return name;
}

/// Points and measure, in words that are compared.
std::string identity(const KernelOperator &op) {
  const auto of_rows = [&](bool given, std::span<const double> values) {
    return given ? fingerprint(op.communicator(), op.partition(), values) : std::uint64_t{0};
  };
  return detail::concatenate(op.fingerprint(), " ", op.weighted(), " ", of_rows(op.weighted(), op.measure()), " ",
                             op.targeted(), " ", of_rows(op.targeted(), op.target()));
}

}  // namespace

std::vector<SweepPoint> sweep_points(std::string_view beta_list, std::string_view alpha_list) {
  std::vector<std::string> betas = read_list("beta", beta_list);
  std::vector<std::string> alphas = read_list("alpha", alpha_list);
  std::vector<SweepPoint> points;
  if (betas.empty() && alphas.empty()) return points;
  if (betas.empty()) betas.emplace_back();
  if (alphas.empty()) alphas.emplace_back();
  for (const std::string &beta : betas) {
    for (const std::string &alpha : alphas) points.push_back({beta, alpha, ""});
    std::reverse(alphas.begin(), alphas.end());
  }
  for (SweepPoint &point : points) point.folder = folder_name(point);
  return points;
}

void Neighbour::remember(KernelOperator &op) {
  identity_ = identity(op);
  pair_ = to_string(op.options().pair);
  const std::span<const double> density = op.density();
  density_.assign(density.begin(), density.end());
}

void Neighbour::remember(std::vector<double> right, int pairs) {
  right_ = std::move(right);
  pairs_ = pairs;
}

void Neighbour::prepare(KernelOperator &op) {
  if (identity_.empty()) return;
  // Fingerprints are the same on every rank, and so is the Error.
  if (identity(op) != identity_)
    throw Error(
        "the points or their weights are others than those of the maps before; leave the files of a sweep as they "
        "are until it ends",
        true);
  if (to_string(op.options().pair) == pair_) op.restore_density(std::move(density_));
  density_ = {};
  pair_.clear();
}

std::vector<double> Neighbour::start(KernelOperator &op, const NystromOptions &nystrom, int columns) {
  const std::vector<double> root_law = op.root_law();
  const auto n = static_cast<std::size_t>(op.local_rows());
  const auto block = static_cast<std::size_t>(columns);
  const auto known = static_cast<std::size_t>(std::exchange(pairs_, 0));
  std::vector<double> vectors = std::move(right_);
  right_ = {};
  for (std::size_t at = 0; at < vectors.size(); ++at) vectors[at] *= root_law[at % n];
  if (known >= block) return vectors;
  const std::vector<double> landmarks = nystrom_start(op, nystrom, columns);
  // A block with room for both sets takes both, since errors of landmarks and of neighbours are of different kinds; the
  // first vector is exact in either. Else those that the neighbour lacks.
  const std::size_t begin = std::min(n * (2 * known <= block ? 1 : known), landmarks.size());
  const std::size_t end = std::min(begin + n * (block - known), landmarks.size());
  vectors.insert(vectors.end(), landmarks.begin() + static_cast<std::ptrdiff_t>(begin),
                 landmarks.begin() + static_cast<std::ptrdiff_t>(end));
  return vectors;
}

void plan_neighbour(RunPlan &plan, int pairs) {
  const std::int64_t rows = (plan.shape.rows + plan.ranks - 1) / plan.ranks;
  plan.phases.front().memory.push_back(
      {"eigenvectors of the map before", 8.0 * static_cast<double>(rows) * (pairs + 1)});
}

}  // namespace flashring
