// The kernels of backend simd in precision fp64, for every instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/fp64.cpp"
#include "hwy/foreach_target.h"
// Highway asks for this order.
#include "simd/includes.hpp"

HWY_BEFORE_NAMESPACE();
namespace flashring::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#include "simd/kernels.hpp"

void evaluate_fp64(const TileCall &call) { evaluate_pairs<Fp64, false>(call); }

}  // namespace HWY_NAMESPACE
}  // namespace flashring::simd
HWY_AFTER_NAMESPACE();
