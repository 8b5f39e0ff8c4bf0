#include "solve/product_errors.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace flashring {
namespace {

/// Of the limit, for all noise of a pair; the residual has the rest.
constexpr PetscReal noise_share = 0.7;
/// Of what is left of that, for one product: others follow.
constexpr PetscReal step_share = 0.5;
/// And of the limit, however much there is already: so little adds nothing to it.
constexpr PetscReal least_share = 0.1;
/// The next block may be worse than the last one, and the entries of a vector in it still grow by factors of 2 to 3 in
/// the steps that follow.
constexpr PetscReal growth_safety = 4;
/// Of the noise of a pair: the rest was there before.
constexpr PetscReal most_of = 0.7;
/// A residual far below the noise gains nothing any more.
constexpr PetscReal floor_ratio = 0.5;

}  // namespace

void ProductErrors::transform(ProjectedArray &Q, PetscInt locked, PetscInt count, PetscInt columns) {
  std::vector<PetscReal> noise(static_cast<std::size_t>(count), 0.0);
  for (PetscInt j = 0; j < count; ++j) {
    PetscReal squares = 0;
    for (PetscInt k = 0; k < columns && j >= locked; ++k) {
      const PetscReal part = noise_[static_cast<std::size_t>(k)] * Q(k, j);
      squares += part * part;
    }
    noise[static_cast<std::size_t>(j)] = std::sqrt(squares);
  }
  // What has converged has been counted.
  noise_ = std::move(noise);
}

PetscReal ProductErrors::felt(ProjectedArray &Y, PetscInt j, PetscInt width) const {
  PetscReal squares = 0;
  PetscReal norm = 0;
  for (PetscInt c = j; c < j + width; ++c)
    for (std::size_t k = 0; k < noise_.size(); ++k) {
      const PetscReal y = Y(static_cast<PetscInt>(k), c);
      squares += noise_[k] * noise_[k] * y * y;
      norm += y * y;
    }
  return std::sqrt(squares / norm);
}

void ProductErrors::record(std::vector<Pair> pairs, PetscReal norm) {
  for (std::size_t j = 0; j < std::min(pairs.size(), pairs_.size()); ++j)
    if (pairs_[j].residual > 0)
      pairs[j].growth = std::max(1.0, growth_safety * pairs[j].newest * norm / pairs_[j].residual);
  pairs_ = std::move(pairs);
  norm_ = norm;
}

PetscReal ProductErrors::of_one_product(PetscReal limit) { return step_share * noise_share * limit; }

PetscReal ProductErrors::share(const Pair &pair, PetscReal used) const {
  const PetscReal limit = noise_share * pair.limit;
  const PetscReal left = std::max(least_share * pair.limit, std::sqrt(std::max(0.0, limit * limit - used * used)));
  const PetscReal entries = std::min(1.0, pair.growth * pair.residual / norm_);
  return step_share * left / (entries * norm_);
}

PetscReal ProductErrors::allowed(PetscInt first, PetscInt wanted) const {
  if (!known(wanted)) return 0;
  PetscReal noise = HUGE_VAL;
  for (PetscInt j = first; j < wanted; ++j) {
    const Pair &pair = pairs_[static_cast<std::size_t>(j)];
    if (!pair.converged()) noise = std::min(noise, share(pair, pair.noise));
  }
  return noise;
}

bool ProductErrors::overrun(PetscInt first, PetscInt wanted, PetscInt newest) const {
  if (!known(wanted) || newest >= static_cast<PetscInt>(noise_.size())) return false;
  const PetscReal noise = noise_[static_cast<std::size_t>(newest)] * norm_;
  return std::any_of(pairs_.begin() + first, pairs_.begin() + wanted, [noise](const Pair &pair) {
    return !pair.converged() && pair.noise > noise_share * pair.limit && noise * pair.newest > most_of * pair.noise;
  });
}

bool ProductErrors::at_floor(PetscInt first, PetscInt wanted) const {
  if (!known(wanted)) return false;
  return std::all_of(pairs_.begin() + first, pairs_.begin() + wanted, [](const Pair &pair) {
    return pair.converged() || (pair.noise >= noise_share * pair.limit && pair.residual <= floor_ratio * pair.noise);
  });
}

bool ProductErrors::good_start(PetscInt first, PetscInt wanted, PetscReal noise) const {
  if (!known(wanted)) return false;
  return std::all_of(pairs_.begin() + first, pairs_.begin() + wanted, [&](const Pair &pair) {
    return pair.converged() || pair.residual <= pair.noise || share(pair, 0) >= noise;
  });
}

}  // namespace flashring
