// Arithmetic words of backend simd for one instruction set. The only file here that names one: the exponential is six
// operations cheaper where the hardware takes fractions and scales by powers of two, square roots and products of
// 16-bit numbers differ as well. No include guard: included once per instruction set inside HWY_NAMESPACE.

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

#if HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR
constexpr bool has_vectors = false;
#else
constexpr bool has_vectors = true;
#endif

/// 32 vector registers, or 16.
constexpr bool many_registers = HWY_TARGET <= HWY_AVX3 || (HWY_ARCH_ARM_A64 && has_vectors);

/// The value as if it came from elsewhere, in its register: nothing about it can be taken out of a loop that measures.
template <class V>
HWY_INLINE void keep([[maybe_unused]] V &v) {
  if constexpr (has_vectors) {
#if HWY_ARCH_X86
    asm volatile("" : "+v"(v.raw));
#elif HWY_ARCH_ARM_A64
    asm volatile("" : "+w"(v.raw));
#else
    asm volatile("" : : "r"(&v) : "memory");
#endif
  }
}
template <class V>
HWY_INLINE V opaque(V v) {
  keep(v);
  return v;
}

template <class T>
using Vec = hn::Vec<hn::ScalableTag<T>>;

/// What a precision computes with: columns and sums in T, 2^x by a polynomial of that degree, and inner products of
/// 16-bit numbers where they pay (`short_products`).
struct Fp64 {
  using T = double;
  static constexpr int degree = 11;
  static constexpr bool short_products = false;
};
struct Fp32 {
  using T = float;
  static constexpr int degree = 5;
  static constexpr bool short_products = false;
};
struct Reduced {
  using T = float;
  static constexpr int degree = 3;
  static constexpr bool short_products = true;
};

// Minimax polynomials of 2^f in relative error with the constant term 1, so that powers of 2 are exact: log-sum-exp
// rescales by them. Degree 3 is held to a mean error of 0, too, so that sums of weights are not off to one side.
template <int degree>
inline constexpr double exp2_coefficients[1] = {};
// On [0, 1): 9.4e-5.
template <>
inline constexpr double exp2_coefficients<3>[] = {1, 0.6952500354522593, 0.22713284688778593, 0.07742987995296724};
#if HWY_TARGET <= HWY_AVX3
// On [0, 1): degree 5 8.2e-8, 11 3.2e-18.
template <>
inline constexpr double exp2_coefficients<5>[] = {1,
                                                  0.69315131180752295536,
                                                  0.24016445013606755314,
                                                  0.055799913145968066977,
                                                  0.0090170302844367490406,
                                                  0.0018671300819070081778};
template <>
inline constexpr double exp2_coefficients<11>[] = {1,
                                                   0.69314718055994592839,
                                                   0.24022650695906330315,
                                                   0.055504108665602238723,
                                                   0.0096181290995508956128,
                                                   0.0013333558629562675936,
                                                   0.00015403512309733948746,
                                                   0.00001525317505379524616,
                                                   1.3208367308220049348e-6,
                                                   1.025321230405209001e-7,
                                                   6.5595298355172712178e-9,
                                                   6.2634652734225902742e-10};
#else
// On [-1/2, 1/2]: degree 5 9.2e-8, 11 3.1e-18.
template <>
inline constexpr double exp2_coefficients<5>[] = {1,
                                                  0.69314697759149522871,
                                                  0.24022242080363417908,
                                                  0.055507337542471925203,
                                                  0.0096715128695495113501,
                                                  0.0013264723893082615353};
template <>
inline constexpr double exp2_coefficients<11>[] = {
#include "exp2_degree11.inc"
};
#endif

template <int degree, class T>
HWY_INLINE Vec<T> exp2_polynomial(Vec<T> f) {
  const hn::ScalableTag<T> d;
  constexpr const double *c = exp2_coefficients<degree>;
  Vec<T> p = hn::Set(d, static_cast<T>(c[degree]));
#pragma GCC unroll 12
  for (int k = degree - 1; k >= 0; --k) p = hn::MulAdd(p, f, hn::Set(d, static_cast<T>(c[k])));
  return p;
}

#if HWY_TARGET <= HWY_AVX3
// vreduce gives x - floor(x), and 0 for infinities; vscalef multiplies by 2^floor(x) with gradual underflow. No clamp
// is needed and the whole costs two operations beside the polynomial.
template <int degree, class T>
HWY_INLINE Vec<T> exp2_vector(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const Vec<T> f{_mm512_reduce_ps(x.raw, 0x09)};
    return Vec<T>{_mm512_scalef_ps(exp2_polynomial<degree, T>(f).raw, x.raw)};
  } else {
    const Vec<T> f{_mm512_reduce_pd(x.raw, 0x09)};
    return Vec<T>{_mm512_scalef_pd(exp2_polynomial<degree, T>(f).raw, x.raw)};
  }
}

/// The same where x may be large: infinity when 2^x is no number.
template <int degree, class T>
HWY_INLINE Vec<T> exp2_or_infinity(Vec<T> x) {
  return exp2_vector<degree, T>(x);
}

// 2^-14 from the hardware, then Newton steps for root and reciprocal root together: a third of the time of vsqrt.
// The root of 0 is 0, and of a negative rounding too; below the smallest normal number roots are too short, far below
// every rounding.
template <class T>
HWY_INLINE Vec<T> sqrt_vector(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const Vec<T> half = hn::Set(d, T(0.5));
  const Vec<T> a = hn::Max(x, hn::Zero(d));
  const Vec<T> normal = hn::Max(x, hn::Set(d, std::numeric_limits<T>::min()));
  Vec<T> r;
  if constexpr (sizeof(T) == 4)
    r = Vec<T>{_mm512_rsqrt14_ps(normal.raw)};
  else
    r = Vec<T>{_mm512_rsqrt14_pd(normal.raw)};
  Vec<T> root = hn::Mul(a, r);
  Vec<T> h = hn::Mul(r, half);
  if constexpr (sizeof(T) == 8) {
    const Vec<T> e = hn::NegMulAdd(root, h, half);
    root = hn::MulAdd(root, e, root);
    h = hn::MulAdd(h, e, h);
  }
  const Vec<T> e = hn::NegMulAdd(root, root, a);  // the residual itself: no rounding of root * h enters
  return hn::MulAdd(e, h, root);
}
#else
// Adding 1.5 * 2^(mantissa bits) rounds to an integer and leaves it in the low bits, so that the exponent is one shift
// away. Arguments below the smallest normal exponent are clamped for that and give 0. The polynomial of degree 3 wants
// what is above the next whole number below: nearly 1/2 is taken off before rounding, little enough that whole numbers
// stay what they are.
template <int degree, class T>
HWY_INLINE Vec<T> exp2_vector(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> di;
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
  const Vec<T> magic = hn::Set(d, static_cast<T>(sizeof(T) == 4 ? 12582912.0 : 6755399441055744.0));
  const Vec<T> low = hn::Set(d, static_cast<T>(sizeof(T) == 4 ? -126 : -1022));
  const Vec<T> clamped = hn::Max(x, low);
  const Vec<T> shifted =
      hn::Add(degree == 3 ? hn::Sub(clamped, hn::Set(d, static_cast<T>(0.5 - 0x1p-13))) : clamped, magic);
  const Vec<T> f = hn::Sub(clamped, hn::Sub(shifted, magic));
  const auto exponent = hn::ShiftLeft<mantissa>(hn::BitCast(di, shifted));
  const Vec<T> value = hn::BitCast(d, hn::Add(hn::BitCast(di, exp2_polynomial<degree, T>(f)), exponent));
  return hn::IfThenElseZero(hn::Ge(x, low), value);
}

/// The same where x may be large: infinity when 2^x is no number.
template <int degree, class T>
HWY_INLINE Vec<T> exp2_or_infinity(Vec<T> x) {
  return exp2_vector<degree, T>(hn::Min(x, hn::Set(hn::ScalableTag<T>(), T(sizeof(T) == 4 ? 128 : 1024))));
}

template <class T>
HWY_INLINE Vec<T> sqrt_vector(Vec<T> x) {
  return hn::Sqrt(hn::Max(x, hn::Zero(hn::ScalableTag<T>())));
}
#endif

// Minimax polynomials P of f P(f) = log2(1 + f) on [-1/3, 1/3] in relative error.
template <class T>
inline constexpr double log2_1p_coefficients[1] = {};
template <>  // 2.6e-8
inline constexpr double log2_1p_coefficients<float>[] = {
    1.4426950460327647598,   -0.72134654118598269531, 0.48089597176571020082,
    -0.36078956864124461246, 0.28871133271743854893,  -0.23678652666925976706,
    0.20179910047945545552,  -0.22222117388778531916, 0.20278702237273343426};
template <>  // 7.6e-18
inline constexpr double log2_1p_coefficients<double>[] = {
    1.4426950408889634091,   -0.72134752044448102844,  0.48089834696298410808,  -0.3606737602226838639,
    0.28853900817912232149,  -0.2404491733959870312,   0.20609929136935022571,  -0.18033688766638171917,
    0.16029946232834039785,  -0.14426913801594346136,  0.13115353883281269911,  -0.1202352106945314895,
    0.11099091543454792178,  -0.10285749535425614461,  0.095942458912154834944, -0.092341140204949051497,
    0.087352330299105716641, -0.065384289060878928149, 0.060065618564310303034, -0.12551342155248542413,
    0.1229174625812323013};

/// log2(y) for y = 1 + x in (0, 1], given both, with relative accuracy: y = 2^n (1 + f) with 1 + f in [2/3, 4/3), and f
/// is x itself where n is 0. Some number for other y.
template <class T>
HWY_INLINE Vec<T> log2_1p_vector(Vec<T> x, Vec<T> y) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<decltype(d)> di;
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
  const auto one = hn::BitCast(di, hn::Set(d, T(1)));
  const auto lowest = hn::BitCast(di, hn::Set(d, T(2.0 / 3)));
  const auto n = hn::ShiftRight<mantissa>(hn::Sub(hn::BitCast(di, y), lowest));
  const Vec<T> scale = hn::BitCast(d, hn::Sub(one, hn::ShiftLeft<mantissa>(n)));
  const Vec<T> reduced = hn::MulSub(y, scale, hn::Set(d, T(1)));
  const Vec<T> f = hn::IfThenElse(hn::Ge(y, hn::BitCast(d, lowest)), x, reduced);
  constexpr const double *c = log2_1p_coefficients<T>;
  constexpr int degree = static_cast<int>(std::size(log2_1p_coefficients<T>)) - 1;
  // Even and odd powers apart: half the chain of multiply-adds that wait for each other.
  const Vec<T> square = hn::Mul(f, f);
  Vec<T> sums[2] = {hn::Set(d, static_cast<T>(c[degree])), hn::Set(d, static_cast<T>(c[degree - 1]))};
#pragma GCC unroll 20
  for (int k = degree - 2; k >= 0; --k) {
    Vec<T> &sum = sums[(degree - k) % 2];
    sum = hn::MulAdd(sum, square, hn::Set(d, static_cast<T>(c[k])));
  }
  static_assert(degree % 2 == 0);
  const Vec<T> p = hn::MulAdd(sums[1], f, sums[0]);
  return hn::MulAdd(p, f, hn::ConvertTo(d, n));
}

/// Sums of products of 16-bit numbers, two to a lane: sum += a.low * b.low + a.high * b.high.
using ShortSums = Vec<std::int32_t>;

#if HWY_TARGET <= HWY_AVX3
template <bool fused>
HWY_INLINE ShortSums multiply_pairs(ShortSums a, ShortSums b, ShortSums sum) {
  if constexpr (fused) {  // vpdpwssd; spelled out, since the target set of Highway 1.0.3 does not include it
    asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
    return sum;
  } else {
    return hn::Add(sum, ShortSums{_mm512_madd_epi16(a.raw, b.raw)});
  }
}
constexpr bool may_fuse_pairs = true;
inline bool has_fused_pairs() { return __builtin_cpu_supports("avx512vnni") != 0; }
inline const char *target_name(bool fused) { return fused ? "avx512_vnni" : "avx512"; }
#elif HWY_TARGET == HWY_AVX2
template <bool fused>
HWY_INLINE ShortSums multiply_pairs(ShortSums a, ShortSums b, ShortSums sum) {
  return hn::Add(sum, ShortSums{_mm256_madd_epi16(a.raw, b.raw)});
}
constexpr bool may_fuse_pairs = false;
inline bool has_fused_pairs() { return false; }
inline const char *target_name(bool /*fused*/) { return "avx2"; }
#else
template <bool fused>
HWY_INLINE ShortSums multiply_pairs(ShortSums a, ShortSums b, ShortSums sum) {
  const auto low = [](ShortSums v) { return hn::ShiftRight<16>(hn::ShiftLeft<16>(v)); };
  const auto high = [](ShortSums v) { return hn::ShiftRight<16>(v); };
  return hn::Add(sum, hn::Add(hn::Mul(low(a), low(b)), hn::Mul(high(a), high(b))));
}
constexpr bool may_fuse_pairs = false;
inline bool has_fused_pairs() { return false; }
inline const char *target_name(bool /*fused*/) { return has_vectors ? hwy::TargetName(HWY_TARGET) : "scalar"; }
#endif

/// The lanes of even, or odd, number of two vectors after each other.
#if HWY_TARGET == HWY_SCALAR
template <class T>
HWY_INLINE Vec<T> even_lanes(Vec<T> first, Vec<T> /*second*/) {
  return first;
}
template <class T>
HWY_INLINE Vec<T> odd_lanes(Vec<T> /*first*/, Vec<T> second) {
  return second;
}
#else
template <class T>
HWY_INLINE Vec<T> even_lanes(Vec<T> first, Vec<T> second) {
  return hn::ConcatEven(hn::ScalableTag<T>(), second, first);
}
template <class T>
HWY_INLINE Vec<T> odd_lanes(Vec<T> first, Vec<T> second) {
  return hn::ConcatOdd(hn::ScalableTag<T>(), second, first);
}
#endif

/// -q, which is what distances are summed to: neg costs nothing, and a root sees no negative rounding.
template <class T>
struct Negative {
  Vec<T> value;
};

/// The arithmetic policy of formula.hpp. `Argument`: what q comes as, Vec<T> or Negative<T>.
template <class Precision, class Argument>
struct Math {
  using T = typename Precision::T;
  using D = hn::ScalableTag<T>;
  using V = Vec<T>;
  using Q = Argument;
  static HWY_INLINE V set(double a) { return hn::Set(D(), static_cast<T>(a)); }
  static HWY_INLINE V add(V a, V b) { return hn::Add(a, b); }
  static HWY_INLINE V add(V a, Negative<T> b) { return hn::Sub(a, b.value); }
  static HWY_INLINE V mul(V a, V b) { return hn::Mul(a, b); }
  static HWY_INLINE V fma(V a, V b, V c) { return hn::MulAdd(a, b, c); }
  static HWY_INLINE V fma(Negative<T> a, V b, V c) { return hn::NegMulAdd(a.value, b, c); }
  static HWY_INLINE V neg(V a) { return hn::Neg(a); }
  static HWY_INLINE V neg(Negative<T> a) { return a.value; }
  static HWY_INLINE V sqrt(V a) { return sqrt_vector<T>(a); }
  static HWY_INLINE V sqrt(Negative<T> a) { return sqrt_vector<T>(hn::Neg(a.value)); }
  static HWY_INLINE V exp2(V a) { return exp2_vector<Precision::degree, T>(a); }
  static HWY_INLINE V log2(V a) { return hn::Log2(D(), a); }
  // What threshold.hpp asks for.
  static HWY_INLINE V log2_1p(V d, V y) { return log2_1p_vector<T>(d, y); }
  static HWY_INLINE V greatest(V a, V b) { return hn::Max(a, b); }
  static HWY_INLINE V where_positive(V a, V b, V c) { return hn::IfThenElse(hn::Gt(a, hn::Zero(D())), b, c); }
};
