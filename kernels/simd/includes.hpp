// What the sources of backend simd include outside every namespace, before their kernels. No include guard: highway.h
// is read once per instruction set.
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#if HWY_ARCH_X86
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "flashring/threshold.hpp"
#include "flashring/tile.hpp"
#include "simd/tile_size.hpp"
