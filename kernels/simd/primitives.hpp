// Arithmetic words of backend simd for one instruction set. The only file here that may name one: exp2 is four
// instructions cheaper where the hardware scales by powers of two.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// While it lives, numbers below the smallest normal one are taken and given as 0: a narrow kernel makes them by the
/// million, and each costs some hundred cycles otherwise. The caller's setting comes back afterwards.
#if HWY_ARCH_X86
class FlushSubnormals {
 public:
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040U); }
  FlushSubnormals(const FlushSubnormals &) = delete;
  FlushSubnormals &operator=(const FlushSubnormals &) = delete;
  ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
};
#else
class FlushSubnormals {};
#endif

/// 2^f on [-1/2, 1/2], minimax in relative error: degree 6, 1.9e-9 (fp32; degree 5 would leave 2^0 = 1 + 1.2e-7);
/// degree 11, 3.1e-18 (fp64).
template <class D, class V>
HWY_INLINE V exp2_polynomial(D d, V f) {
  using T = hn::TFromD<D>;
  constexpr double fp32[] = {1.0,
                             0.69314720573725267,
                             0.24022646890639572,
                             0.055503287769976638,
                             0.0096184889565227916,
                             0.0013399931209474140,
                             0.00015345812158740182};
  constexpr double fp64[] = {1.0,
                             0.69314718055994533046,
                             0.24022650695910156205,
                             0.055504108664819921483,
                             0.0096181291075883350833,
                             0.0013333558146789950323,
                             0.00015403530462514613026,
                             0.0000152527334899608046,
                             1.3215433089594629037e-6,
                             1.0178198033328527662e-7,
                             7.0741056262456593708e-9,
                             4.4352809446103611361e-10};
  constexpr int degree = sizeof(T) == 4 ? 6 : 11;
  const double *c = sizeof(T) == 4 ? fp32 : fp64;
  V p = hn::Set(d, static_cast<T>(c[degree]));
#pragma GCC unroll 12
  for (int k = degree - 1; k >= 0; --k) p = hn::MulAdd(p, f, hn::Set(d, static_cast<T>(c[k])));
  return p;
}

#if HWY_TARGET <= HWY_AVX3
// vreduce gives the fraction and 0 for infinities, vscalef multiplies by 2^n with gradual underflow: no clamp is
// needed.
template <class D, class V>
HWY_INLINE V exp2_vector(D d, V x) {
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    const V f{_mm512_reduce_ps(x.raw, 0x08)};
    const V n{_mm512_roundscale_ps(x.raw, 0x08)};
    return V{_mm512_scalef_ps(exp2_polynomial(d, f).raw, n.raw)};
  } else {
    const V f{_mm512_reduce_pd(x.raw, 0x08)};
    const V n{_mm512_roundscale_pd(x.raw, 0x08)};
    return V{_mm512_scalef_pd(exp2_polynomial(d, f).raw, n.raw)};
  }
}
#else
// Adding 1.5 * 2^(mantissa bits) rounds to an integer and leaves it in the low bits, so that the exponent is one shift
// away. Arguments below the smallest normal exponent are clamped for that and give 0.
template <class D, class V>
HWY_INLINE V exp2_vector(D d, V x) {
  using T = hn::TFromD<D>;
  const hn::RebindToSigned<D> di;
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
  constexpr double smallest = sizeof(T) == 4 ? -126 : -1022;
  const V magic = hn::Set(d, static_cast<T>(sizeof(T) == 4 ? 12582912.0 : 6755399441055744.0));
  const V low = hn::Set(d, static_cast<T>(smallest));
  const V clamped = hn::Max(x, low);
  const V shifted = hn::Add(clamped, magic);
  const V f = hn::Sub(clamped, hn::Sub(shifted, magic));
  const auto exponent = hn::ShiftLeft<mantissa>(hn::BitCast(di, shifted));
  const V value = hn::BitCast(d, hn::Add(hn::BitCast(di, exp2_polynomial(d, f)), exponent));
  return hn::IfThenElseZero(hn::Ge(x, low), value);
}
#endif

/// The arithmetic policy of formula.hpp for element type T.
template <class T>
struct Math {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  static HWY_INLINE V set(double a) { return hn::Set(D(), static_cast<T>(a)); }
  static HWY_INLINE V add(V a, V b) { return hn::Add(a, b); }
  static HWY_INLINE V sub(V a, V b) { return hn::Sub(a, b); }
  static HWY_INLINE V mul(V a, V b) { return hn::Mul(a, b); }
  static HWY_INLINE V fma(V a, V b, V c) { return hn::MulAdd(a, b, c); }
  static HWY_INLINE V neg(V a) { return hn::Neg(a); }
  static HWY_INLINE V max(V a, V b) { return hn::Max(a, b); }
  static HWY_INLINE V sqrt(V a) { return hn::Sqrt(a); }
  static HWY_INLINE V exp2(V a) { return exp2_vector(D(), a); }
  static HWY_INLINE V log2(V a) { return hn::Log2(D(), a); }
};
