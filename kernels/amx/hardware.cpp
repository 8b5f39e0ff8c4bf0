// The matrix unit by its instructions, on Linux. They are spelled out: the headers of compilers want register numbers
// as literals, g++ 12 does not say there that loads read memory nor that all 64 bytes of a configuration are read, and
// each function would need a target of its own. Here every statement that reads or writes memory says so.
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amx/products.hpp"

namespace flashring::amx {
namespace {

class Hardware {
 public:
  static void configure(const TileConfig &config) { asm volatile("ldtilecfg %0" : : "m"(config)); }
  static void release() { asm volatile("tilerelease"); }

  template <int t>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(t));
  }
  template <int t>
  static void load(const void *base, std::size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(base), "r"(stride), "i"(t) : "memory");
  }
  template <int t>
  static void store(void *base, std::size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(base), "r"(stride), "i"(t) : "memory");
  }
  template <int c, int a, int b>
  static void multiply() {  // destination last
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

/// One leaf of CPUID, 0 where the processor has none of that number.
Registers identify(unsigned leaf, unsigned part) {
  Registers r;
  __get_cpuid_count(leaf, part, &r.a, &r.b, &r.c, &r.d);
  return r;
}

bool has_bits(std::uint64_t value, std::uint64_t bits) { return (value & bits) == bits; }

/// Processor: AMX-BF16 and AMX-TILE, with registers of the shapes used here.
bool processor_has_unit() {
  if (!has_bits(identify(7, 0).d, 1U << 22U | 1U << 24U)) return false;
  const Registers palette = identify(0x1d, 1);
  const Registers multiplier = identify(0x1e, 0);
  return palette.a >> 16U == unit_bytes && palette.b >> 16U >= registers &&
         (palette.b & 0xffffU) == unit_bytes / unit_rows && (palette.c & 0xffffU) == unit_rows &&
         (multiplier.b & 0xffU) == unit_rows && (multiplier.b >> 8U & 0xffffU) == unit_bytes / unit_rows;
}

/// Operating system: saves the registers of the unit (XCR0 bits 17, 18) when it switches threads.
bool system_saves_registers() {
  if (!has_bits(identify(1, 0).c, 1U << 27U)) return false;  // OSXSAVE: xgetbv may be used
  unsigned low = 0;
  unsigned high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return has_bits(low, 3U << 17U);
}

/// Linux lends the registers to a process that asks (arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)), for all its
/// threads. It refuses, for example, where a thread has an alternate signal stack that is too small for them.
bool system_permits() {
  constexpr long get_permission = 0x1022;
  constexpr long ask_permission = 0x1023;
  constexpr long tile_data = 18;
  if (syscall(SYS_arch_prctl, ask_permission, tile_data) != 0) return false;
  std::uint64_t granted = 0;
  return syscall(SYS_arch_prctl, get_permission, &granted) == 0 && has_bits(granted, 1U << tile_data);
}

constexpr Unit table = {
    "AMX",
    [] { Hardware::configure(whole_registers); },
    [] { Hardware::release(); },
    [](Operand left, Operand right, int chunks, int terms, float *sums) {
      Hardware unit;
      multiply_features(unit, left, right, chunks, terms, sums);
    },
    [](Operand left, Operand right, int chunks, int terms, float *sums, int stride) {
      Hardware unit;
      add_products(unit, left, right, chunks, terms, sums, stride);
    },
    [] {
      Hardware unit;
      return measure_rate(unit);
    },
};

}  // namespace

bool hardware_is_present() { return processor_has_unit() && system_saves_registers(); }

const Unit *hardware_unit() {
  static const bool usable = hardware_is_present() && system_permits();
  return usable ? &table : nullptr;
}

}  // namespace flashring::amx
