// What is asked of a pair function whose kind is a run-time number. No include guard: included after the formulas,
// inside the namespace that has them.

inline constexpr Accumulate accumulate_of(PairKind kind) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return Formula<PairKind::name>::declaration.accumulate;
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return Accumulate::difference;
}

inline constexpr int scalars_of(PairKind kind) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return Formula<PairKind::name>::declaration.scalars;
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return 0;
}

/// Numbers of a point in a payload of features as they are.
inline constexpr int row_numbers(PairKind kind, int features) {
  const bool covariances = accumulate_of(kind) == Accumulate::covariance;
  return features + (covariances ? covariance_numbers(features) : scalars_of(kind));
}

/// constants: (4) of the scaled formula.
inline void set_constants(const PairFunction &pair, double *constants) {
  switch (pair.kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return Formula<PairKind::name>::constants(pair.parameters.data(), constants);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
}

template <PairKind kind, class Tally>
TileCost formula_cost(bool logarithm) {
  const double constants[4] = {};
  Tally::cost = {};
  if (logarithm)
    Formula<kind>::template log2_weight<Tally>(typename Tally::Q{}, constants);
  else
    Formula<kind>::template weight<Tally>(typename Tally::Q{}, constants);
  return Tally::cost;
}

/// Operations of a weight or its logarithm beyond q. Tally: a policy of formula.hpp that counts in its `cost`.
template <class Tally>
TileCost formula_cost(PairKind kind, bool logarithm) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return formula_cost<PairKind::name, Tally>(logarithm);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return {};
}
