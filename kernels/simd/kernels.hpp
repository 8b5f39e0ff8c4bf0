// Everything that a precision is compiled from. No include guard: included once per instruction set inside
// HWY_NAMESPACE.

#include "flashring/pair_formulas.inc"
#include "flashring/row_rules.inc"
#include "formula_facts.hpp"
#include "threshold.hpp"
// In this order, each on the one before.
#include "simd/primitives.hpp"

#include "simd/weights.hpp"

#include "simd/fold.hpp"

#include "simd/sum.hpp"

#include "simd/logsumexp.hpp"

#include "simd/difference_product.hpp"
#include "simd/score_bins.hpp"
#include "simd/slope.hpp"
#include "simd/softmax_gradient.hpp"
#include "simd/top_k.hpp"

#include "simd/power_sums.hpp"

#include "simd/score_list.hpp"
#include "simd/threshold_gradient.hpp"

#include "simd/evaluate.hpp"
