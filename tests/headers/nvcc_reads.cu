// What the CUDA compiler must be able to read: the tile contract, and every pair formula and row rule inside a
// namespace, as a device backend will include them. Every formula is instantiated with numbers that a device has.
#include <cmath>
#include <cstddef>

#include "flashring/pair.hpp"
#include "flashring/row.hpp"
#include "flashring/threshold.hpp"
#include "flashring/tile.hpp"
#include "flashring/types.hpp"

namespace flashring::nvcc_reads {
namespace {

#include "flashring/pair_formulas.inc"
#include "flashring/row_rules.inc"
#include "threshold.hpp"

struct Math {
  using V = float;
  using Q = float;
  static V set(double a) { return static_cast<float>(a); }
  static V add(V a, V b) { return a + b; }
  static V sub(V a, V b) { return a - b; }
  static V mul(V a, V b) { return a * b; }
  static V fma(V a, V b, V c) { return std::fma(a, b, c); }
  static V neg(V a) { return -a; }
  static V max(V a, V b) { return a > b ? a : b; }
  static V sqrt(V a) { return std::sqrt(a); }
  static V exp2(V a) { return std::exp2(a); }
  static V log2(V a) { return std::log2(a); }
  static V log2_1p(V d, V y) { return y > 0.5F ? std::log1p(d) * static_cast<float>(log2_of_e) : std::log2(y); }
  static V greatest(V a, V b) { return a > b ? a : b; }
  static V where_positive(V a, V b, V c) { return a > 0 ? b : c; }
};

template <ThresholdPower power>
float threshold(float d, float y, float e) {
  const ThresholdWeight<Math> weight = threshold_powers<power, Math>(d, y, e - 1);
  return weight.p + threshold_parameter<power, ThresholdScale::tsallis, Math>(d, y, weight, e, 1) +
         threshold_parameter<power, ThresholdScale::none, Math>(d, y, weight, e, 1) +
         threshold_parameter<power, ThresholdScale::porous, Math>(d, y, weight, e, 1);
}

template <PairKind kind>
float both(float q, const double *constants) {
  return Formula<kind>::template weight<Math>(q, constants) + Formula<kind>::template log2_weight<Math>(q, constants);
}

template <RowKind kind>
std::size_t words() {
  return static_cast<std::size_t>(Rule<kind>::state_words(0, 1) + Rule<kind>::passes);
}

}  // namespace

float all_pairs(float q, const double *constants) {
  float sum = 0;
#define FLASHRING_PAIR(name) sum += both<PairKind::name>(q, constants);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  return sum;
}

float all_thresholds(float d, float y, float e) {
  return threshold<ThresholdPower::one>(d, y, e) + threshold<ThresholdPower::two>(d, y, e) +
         threshold<ThresholdPower::three>(d, y, e) + threshold<ThresholdPower::four>(d, y, e) +
         threshold<ThresholdPower::any>(d, y, e) + threshold<ThresholdPower::exponential>(d, y, e);
}

std::size_t all_rows() {
  std::size_t sum = 0;
#define FLASHRING_ROW(name) sum += words<RowKind::name>();
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  return sum;
}

// A kernel that gets the contract's plain structures by value and asks its questions.
__global__ void reads_shape(BlockCall call, int *answers) {
  answers[0] = call.shape.features;
  answers[1] = is_due(call.pattern, 0, 1) && is_kept(call.kept, call.visiting_tiles, 0, 1);
  answers[2] = visibility(call.shape.mask, call.own.tiles[0], call.visiting.tiles[1]) == Visibility::all;
  answers[3] = visible(call.shape.mask, 0, 1);
}

}  // namespace flashring::nvcc_reads
