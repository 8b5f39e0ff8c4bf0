// A file of the host's compiler: it runs the formulas with a policy that counts.
#include "sm80/cost.hpp"

#include "sm80/weights.hpp"

namespace flashring::sm80 {
namespace {

/// A policy of formula.hpp that computes nothing and counts. In fp32 the special function unit gives roots and
/// exponentials; in fp64 roots are Newton steps. A logarithm is about an exponential and as many multiply-adds again.
template <bool fp64>
struct Tally {
  struct V {};
  using Q = V;
  static inline thread_local TileCost cost;
  static V set(double /*a*/) { return {}; }
  static V add(V /*a*/, V /*b*/) { return ++cost.adds, V{}; }
  static V mul(V /*a*/, V /*b*/) { return ++cost.multiply_adds, V{}; }
  static V fma(V /*a*/, V /*b*/, V /*c*/) { return ++cost.multiply_adds, V{}; }
  static V neg(V /*a*/) { return {}; }  // an operand's sign costs nothing
  static V sqrt(V /*a*/) { return cost.adds += 1, cost.multiply_adds += fp64 ? 8 : 2, V{}; }
  static V exp2(V /*a*/) { return ++cost.exponentials, V{}; }
  static V log2(V /*a*/) { return ++cost.exponentials, cost.multiply_adds += 7, V{}; }
};

template <PairKind kind, bool fp64>
TileCost formula_cost(bool logarithm) {
  using M = Tally<fp64>;
  const double constants[4] = {};
  M::cost = {};
  if (logarithm)
    Formula<kind>::template log2_weight<M>({}, constants);
  else
    Formula<kind>::template weight<M>({}, constants);
  return M::cost;
}

template <bool fp64>
TileCost formula_cost(PairKind kind, bool logarithm) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return formula_cost<PairKind::name, fp64>(logarithm);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return {};
}

bool is_inner(PairKind kind) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return Formula<PairKind::name>::declaration.accumulate == Accumulate::inner;
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return false;
}

}  // namespace

/// Features, then the formula, then one multiply-add for each column and side. Log-sum-exp shifts each logarithm (2
/// adds), takes an exponential and adds it, for each side.
TileCost cost(const TileShape &shape, Sides sides) {
  const int used = (has_own(sides) ? 1 : 0) + (has_visiting(sides) ? 1 : 0);
  const bool logarithm = shape.row == RowKind::logsumexp;
  TileCost cost = shape.precision == Precision::fp64 ? formula_cost<true>(shape.pair.kind, logarithm)
                                                     : formula_cost<false>(shape.pair.kind, logarithm);
  cost.multiply_adds += shape.features + shape.columns * used;
  if (!is_inner(shape.pair.kind)) cost.adds += shape.features;
  if (logarithm) {
    cost.adds += 3 * used;
    cost.exponentials += used;
  }
  return cost;
}

/// Worst cases to first order. A feature is centred, scaled and rounded, 2u, and the scale itself is off by 2u. With
/// |x||y| <= (|x|^2 + |y|^2)/2 and q <= 2(|x|^2 + |y|^2) that makes, in units of u(|x|^2 + |y|^2), 4 for inner products
/// and d/2 for their d sums; 8 + 8 for differences, 6 for them and their squares, and 2d for d sums below q.
/// weight: the exponential (2^-22 in fp32, as the PTX manual states ex2.approx, and the polynomial of few features
/// stays below; a rounding in fp64) and 8 roundings of
/// the formula's functions.
TileError error(const TileShape &shape) {
  const double d = shape.features;
  const double u = shape.precision == Precision::fp64 ? 0x1p-53 : 0x1p-24;
  const double exponential = shape.precision == Precision::fp64 ? u : 0x1p-22;
  return {(is_inner(shape.pair.kind) ? 4 + d / 2 : 22 + 2 * d) * u, exponential + 8 * u};
}

}  // namespace flashring::sm80
