// The words of ../device_word.hpp for the CUDA compiler. Everything is inlined: arrays are to stay in registers.
#define FLASHRING_DEVICE __device__ __forceinline__
#define FLASHRING_EVERYWHERE __host__ __device__ __forceinline__
#define FLASHRING_UNROLL _Pragma("unroll")
#define FLASHRING_UNROLL_4 _Pragma("unroll 4")
#define FLASHRING_ROLL _Pragma("unroll 1")
