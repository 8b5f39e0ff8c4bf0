// The words that stand before what a device runs (FLASHRING_DEVICE), what it and its host run (FLASHRING_EVERYWHERE),
// loops over registers (FLASHRING_UNROLL), and loops that are to stay loops, so that registers suffice (FLASHRING_ROLL,
// or FLASHRING_UNROLL_4 for a few steps at once). These are the host's: inline before functions, nothing before loops.
// Targets of the CUDA compiler find cuda/device_word.hpp first on their include path. No include guard: included inside
// namespaces, the same each time.
#define FLASHRING_DEVICE inline
#define FLASHRING_EVERYWHERE inline
#define FLASHRING_UNROLL
#define FLASHRING_UNROLL_4
#define FLASHRING_ROLL
