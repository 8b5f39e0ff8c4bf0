// 2^x in fp32 on two pipes at once. The special unit serves 16 lanes a cycle where 128 multiply-adds are issued, so
// that kernels with little arithmetic beside the exponential wait for it; a share of the pairs takes a polynomial on
// the multiply-add pipes instead. Which pairs these are is known when the kernel is compiled: registers have fixed
// numbers, so lanes do not diverge.
//
// Steps of the polynomial: x = n + f with |f| <= 1/2 by adding and subtracting a magic number; p(f) near 2^f; n added
// to the exponent of p. Cost: polynomial_slots operations of a lane.
// References: T. Zadouri et al., FlashAttention-4, arXiv:2603.05451, for the two pipes; W. J. Cody, W. Waite, Software
// Manual for the Elementary Functions, 1980, for the range.
#pragma once

#include "sm80/weights.hpp"

namespace flashring::sm80 {

/// Minimax polynomial of 2^f on [-1/2, 1/2] in relative error, 9.2e-8, with the constant term 1, so that powers of 2
/// are exact. (Without that condition it would be 7.5e-8.) Roundings add 1.1e-7.
FLASHRING_DEVICE constexpr float exp2_short_coefficient(int k) {
  constexpr float c[] = {
      1, 0.693146977447989F, 0.24022242137014055F, 0.055507341231847515F, 0.0096715109281146F, 0.0013264601772366444F};
  return c[k];
}

/// Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits. Infinity from 2^128 on, 0 up to 2^-127,
/// where p is 1 and the exponent becomes that of 0. Between these and the normal numbers, from 2^-127 to 2^-126,
/// something below the normal numbers: a comparison for exactly 0 would cost two operations more. NaN becomes infinity.
template <class Thread>
FLASHRING_DEVICE float exp2_polynomial(float x) {
  constexpr float magic = 12582912;
  const float clamped = Thread::most(Thread::least(x, 128), -127);
  const float shifted = clamped + magic;
  const float f = clamped - (shifted - magic);
  float p = exp2_short_coefficient(5);
  FLASHRING_UNROLL
  for (int k = 4; k >= 0; --k) p = Thread::fma(p, f, exp2_short_coefficient(k));
  return add_to_exponent<std::uint32_t, 23>(p, shifted);
}

/// The arithmetic policy of formula.hpp whose exponential is the polynomial.
template <class Thread>
struct PolynomialMath : Math<Thread, float> {
  FLASHRING_DEVICE static float exp2(float a) { return exp2_polynomial<Thread>(a); }
};

/// The share f of exponentials that the polynomial takes, so that no pipe waits for the other. A pair has that many
/// issue slots beside its exponential, and other steps of the special unit, each of which occupies it for 8 slots.
/// Issue takes slots + (1 - f) + f polynomial, the special unit 8 (1 - f + special); the two are equal at f.
constexpr double polynomial_share(double slots, double special, double polynomial) {
  const double f = (special_unit_slots * (1 + special) - 1 - slots) / (polynomial + special_unit_slots - 1);
  return f < 0 ? 0 : f > 1 ? 1 : f;
}

/// The same of 16 registers, rounded down, for whole slots and no other steps of the special unit; and whether register
/// n is one of them, evenly spread.
constexpr int polynomial_sixteenths(int slots) {
  return static_cast<int>(16 * polynomial_share(slots, 0, polynomial_slots));
}
constexpr bool takes_polynomial(int n, int share) { return n % 16 * share / 16 != (n % 16 + 1) * share / 16; }

/// What a formula asks beside its exponential.
struct Slots {
  double issued = 0;
  double special = 0;
};

/// A policy of formula.hpp that counts while the compiler runs it: numbers carry where to. A root is a comparison, a
/// step of the special unit and two multiplications; the library's logarithm takes about 20 operations.
struct SlotCount {
  struct V {
    Slots *count;
  };
  using Q = V;
  static constexpr V note(Slots *count, double issued, double special) {
    count->issued += issued;
    count->special += special;
    return {count};
  }
  static constexpr Slots *either(V a, V b) { return a.count != nullptr ? a.count : b.count; }
  static constexpr V set(double /*a*/) { return {nullptr}; }
  static constexpr V add(V a, V b) { return note(either(a, b), 1, 0); }
  static constexpr V mul(V a, V b) { return note(either(a, b), 1, 0); }
  static constexpr V fma(V a, V b, V c) { return note(either({either(a, b)}, c), 1, 0); }
  static constexpr V neg(V a) { return a; }  // an operand's sign costs nothing
  static constexpr V sqrt(V a) { return note(a.count, 4, 1); }
  static constexpr V exp2(V a) { return a; }
  static constexpr V log2(V a) { return note(a.count, 20, 0); }
};

template <PairKind kind>
constexpr Slots formula_slots() {
  Slots count{};
  const double constants[4] = {};
  Formula<kind>::template weight<SlotCount>({&count}, constants);
  return count;
}

}  // namespace flashring::sm80
