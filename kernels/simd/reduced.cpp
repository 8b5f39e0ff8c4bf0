// The kernels of backend simd in precision reduced, for every instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/reduced.cpp"
#include "hwy/foreach_target.h"
// Highway asks for this order.
#include "simd/includes.hpp"

HWY_BEFORE_NAMESPACE();
namespace flashring::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#include "simd/kernels.hpp"

void evaluate_reduced(const TileCall &call) { evaluate_pairs<Reduced, false>(call); }
void evaluate_reduced_fused(const TileCall &call) { evaluate_pairs<Reduced, may_fuse_pairs>(call); }

}  // namespace HWY_NAMESPACE
}  // namespace flashring::simd
HWY_AFTER_NAMESPACE();
