// The arithmetic words of backend simd, for every instruction set that this machine has: 2^x, square roots, products of
// 16-bit numbers. The oracle is long double, and whole numbers.
//
// Bounds. P is the largest relative error of the polynomial, stated beside its coefficients; u = 2^-24 or 2^-53. The
// argument's fraction is exact, or (just below a whole number) rounded to it: u/2 ln 2. Rounded coefficients move p(f)
// by at most (p - 1) u, half of p at f = 1; the last multiply-add rounds by u, the one before counts (p - 1)/p of it,
// half again, and those before less than a quarter each. Together P + 3u.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tile/test_primitives.cpp"
#include "hwy/foreach_target.h"
// Highway asks for this order.
#include "simd/includes.hpp"
#include "support/primitives.hpp"

HWY_BEFORE_NAMESPACE();
namespace flashring::test {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using namespace flashring::simd;
#include "simd/primitives.hpp"

/// out[i] = word(in[i]), count a multiple of every number of lanes.
template <class T, class Word>
HWY_INLINE void map(const T *in, T *out, std::size_t count, Word word) {
  const hn::ScalableTag<T> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) hn::StoreU(word(hn::LoadU(d, in + i)), d, out + i);
}

template <int degree, class T>
void exp2_of(const T *in, T *out, std::size_t count, bool flush) {
  const auto all = [&] { map<T>(in, out, count, [](Vec<T> x) HWY_ATTR { return exp2_vector<degree, T>(x); }); };
  if (!flush) return all();
  [[maybe_unused]] const FlushSubnormals alive;
  all();
}

template <int degree, class T>
void exp2_or_infinity_of(const T *in, T *out, std::size_t count) {
  map<T>(in, out, count, [](Vec<T> x) HWY_ATTR { return exp2_or_infinity<degree, T>(x); });
}

template <class T>
void sqrt_of(const T *in, T *out, std::size_t count) {
  map<T>(in, out, count, [](Vec<T> x) HWY_ATTR { return sqrt_vector<T>(x); });
}

template <class T>
void log2_1p_of(const T *x, const T *y, T *out, std::size_t count) {
  const hn::ScalableTag<T> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d))
    hn::StoreU(log2_1p_vector<T>(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, out + i);
}

template <bool fused>
void multiply_pairs_of(const std::int32_t *a, const std::int32_t *b, std::int32_t *sum, std::size_t count) {
  const hn::ScalableTag<std::int32_t> d;
  for (std::size_t i = 0; i < count; i += hn::Lanes(d))
    hn::StoreU(multiply_pairs<fused>(hn::LoadU(d, a + i), hn::LoadU(d, b + i), hn::LoadU(d, sum + i)), d, sum + i);
}

const Primitives *get_primitives() {
  constexpr bool floor = HWY_TARGET <= HWY_AVX3;
  static const Primitives words = {hwy::TargetName(HWY_TARGET),
                                   floor,
                                   exp2_of<3, float>,
                                   exp2_of<5, float>,
                                   exp2_of<11, double>,
                                   exp2_or_infinity_of<3, float>,
                                   exp2_or_infinity_of<5, float>,
                                   exp2_or_infinity_of<11, double>,
                                   sqrt_of<float>,
                                   sqrt_of<double>,
                                   log2_1p_of<float>,
                                   log2_1p_of<double>,
                                   multiply_pairs_of<false>,
                                   has_fused_pairs() ? multiply_pairs_of<true> : nullptr};
  return &words;
}

}  // namespace HWY_NAMESPACE
}  // namespace flashring::test
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include "support/oracle.hpp"

namespace flashring::test {
namespace {

HWY_EXPORT(get_primitives);

/// One entry per instruction set, best first.
std::vector<const Primitives *> all_primitives() {
  std::vector<const Primitives *> all;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    all.push_back(HWY_DYNAMIC_DISPATCH(get_primitives)());
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return all;
}

constexpr std::size_t most_lanes = 16;

template <class T>
void pad(std::vector<T> &x) {
  while (x.size() % most_lanes != 0) x.push_back(T(0));
}

template <class T>
std::vector<T> apply_to(std::vector<T> x, void (*word)(const T *, T *, std::size_t)) {
  const std::size_t count = x.size();
  pad(x);
  std::vector<T> y(x.size());
  word(x.data(), y.data(), x.size());
  y.resize(count);
  return y;
}

template <class T>
std::vector<T> exp2_by(void (*word)(const T *, T *, std::size_t, bool), std::vector<T> x, bool flush) {
  const std::size_t count = x.size();
  pad(x);
  std::vector<T> y(x.size());
  word(x.data(), y.data(), x.size(), flush);
  y.resize(count);
  return y;
}

/// Floats of all sizes: every 1499th of those in [-160, -2^-40] and [2^-40, 128), and every 14983rd of the smaller
/// ones.
std::vector<float> many_floats() {
  std::vector<float> x;
  const auto add = [&](float from, float to, float sign, std::uint32_t step) {
    for (std::uint32_t bits = std::bit_cast<std::uint32_t>(from); bits < std::bit_cast<std::uint32_t>(to); bits += step)
      x.push_back(sign * std::bit_cast<float>(bits));
  };
  add(0x1p-40F, 160, -1, 1499);
  add(0x1p-40F, 128, 1, 1499);
  add(std::numeric_limits<float>::denorm_min(), 0x1p-40F, -1, 14983);
  add(std::numeric_limits<float>::denorm_min(), 0x1p-40F, 1, 14983);
  return x;
}

/// Doubles in steps without a pattern, dense near whole numbers too.
std::vector<double> many_doubles() {
  std::vector<double> x;
  for (double at = -1100; at < 1023.99; at += 0.0123456789) x.push_back(at);
  for (int whole = -1076; whole < 1024; ++whole)
    for (const double step : {0x1p-54, 0x1p-40, 0x1p-20}) {
      x.push_back(whole - step * std::max(1, std::abs(whole)));
      x.push_back(whole + step * std::max(1, std::abs(whole)));
    }
  return x;
}

/// What the coefficients of primitives.hpp state, by set of instructions.
Real polynomial_error(const Primitives &p, int degree) {
  if (degree == 11) return 3.2e-18L;
  if (degree == 5) return p.floor ? 8.2e-8L : 9.2e-8L;
  return 9.4e-5L;
}

template <class T>
Real unit_of() {
  return std::numeric_limits<T>::epsilon() / 2;
}

/// What 2^x has to be. Below the smallest normal number: 0 where `to_zero`, else with gradual underflow.
template <class T>
void check_exp2(const std::vector<T> &x, const std::vector<Real> &exact, const std::vector<T> &y, Real polynomial,
                bool to_zero) {
  const Real smallest = std::numeric_limits<T>::min();
  const Real bound = polynomial + 3 * unit_of<T>();
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < x.size() && wrong < 5; ++i) {
    const Real error = std::abs(y[i] - exact[i]);
    const bool below = exact[i] < smallest;
    const bool as_zero =
        y[i] == 0 && exact[i] < smallest * (1 + bound);  // a result that rounds below it may be flushed
    const bool right = below && to_zero
                           ? as_zero || (y[i] >= smallest && error <= bound * exact[i])
                           : as_zero * to_zero != 0 || error <= bound * exact[i] + std::numeric_limits<T>::denorm_min();
    if (right) continue;
    ++wrong;
    ADD_FAILURE() << "2^" << x[i] << " = " << y[i] << ", expected " << exact[i] << ", relative error "
                  << (y[i] - exact[i]) / exact[i] << ", bound " << bound;
  }
}

template <class T>
std::vector<Real> exact_exp2(const std::vector<T> &x) {
  std::vector<Real> y;
  for (const T value : x) y.push_back(std::exp2(static_cast<Real>(value)));
  return y;
}

class Words : public ::testing::TestWithParam<const Primitives *> {};

TEST_P(Words, Exp2OverItsWholeRangeInFp32) {
  const Primitives &p = *GetParam();
  static const std::vector<float> x = many_floats();
  static const std::vector<Real> exact = exact_exp2(x);
  for (const bool flush : {false, true}) {
    SCOPED_TRACE(flush ? "numbers below the smallest normal one are 0" : "gradual underflow");
    check_exp2<float>(x, exact, exp2_by(p.exp2_degree3, x, flush), polynomial_error(p, 3), flush || !p.floor);
    check_exp2<float>(x, exact, exp2_by(p.exp2_degree5, x, flush), polynomial_error(p, 5), flush || !p.floor);
  }
}

TEST_P(Words, Exp2OverItsWholeRangeInFp64) {
  const Primitives &p = *GetParam();
  static const std::vector<double> x = many_doubles();
  static const std::vector<Real> exact = exact_exp2(x);
  for (const bool flush : {false, true}) {
    SCOPED_TRACE(flush ? "numbers below the smallest normal one are 0" : "gradual underflow");
    check_exp2<double>(x, exact, exp2_by(p.exp2_degree11, x, flush), polynomial_error(p, 11), flush || !p.floor);
  }
}

template <class T>
void check_special(void (*word)(const T *, T *, std::size_t, bool), Real polynomial, int lowest, int highest) {
  using Limits = std::numeric_limits<T>;
  const Real bound = polynomial + 3 * unit_of<T>();
  for (const bool flush : {false, true}) {
    const std::vector<T> one = exp2_by<T>(word, {T(0), -T(0), Limits::denorm_min(), -Limits::denorm_min()}, flush);
    EXPECT_EQ(one[0], 1);
    EXPECT_EQ(one[1], 1) << "-0";
    EXPECT_LE(std::abs(one[2] - Real(1)), bound);
    EXPECT_LE(std::abs(one[3] - Real(1)), bound) << "just below 0";
    for (const T y : exp2_by<T>(word,
                                {-Limits::infinity(), Limits::lowest(), T(-1e9), T(2 * lowest), T(-1e30),
                                 static_cast<T>(static_cast<std::int64_t>(-3) << 31)},
                                flush))
      EXPECT_EQ(y, 0);
    std::vector<T> whole;
    for (int n = lowest; n <= highest; ++n) whole.push_back(static_cast<T>(n));
    const std::vector<T> powers = exp2_by<T>(word, whole, flush);
    for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_EQ(powers[n], std::exp2(whole[n])) << whole[n];
  }
}

TEST_P(Words, Exp2OfWholeNumbersIsExactAndOfMinusInfinityZero) {
  const Primitives &p = *GetParam();
  check_special<float>(p.exp2_degree3, polynomial_error(p, 3), -126, 127);
  check_special<float>(p.exp2_degree5, polynomial_error(p, 5), -126, 127);
  check_special<double>(p.exp2_degree11, polynomial_error(p, 11), -1022, 1023);
}

template <class T>
void check_large(void (*word)(const T *, T *, std::size_t), T end, Real polynomial) {
  using Limits = std::numeric_limits<T>;
  for (const T y : apply_to<T>(
           {end, std::nextafter(end, Limits::max()), end + 1, 3 * end, T(1e9), Limits::max(), Limits::infinity()},
           word))
    EXPECT_EQ(y, Limits::infinity());
  // Below the end: the value, or infinity where its error leads there.
  for (const T step : {end * Limits::epsilon() / 2, T(1e-3), T(0.3), T(0.5), T(0.7), T(1)}) {
    const Real exact = std::exp2(static_cast<Real>(end - step));
    const T y = apply_to<T>({end - step}, word)[0];
    const Real bound = polynomial + 3 * unit_of<T>();
    if (std::isinf(y))
      EXPECT_GT(exact * (1 + bound), static_cast<Real>(Limits::max()));
    else
      EXPECT_LE(std::abs(y - exact), bound * exact) << end - step;
  }
  EXPECT_EQ(apply_to<T>({-Limits::infinity()}, word)[0], 0);
}

TEST_P(Words, Exp2OfLargeNumbersIsInfinity) {
  const Primitives &p = *GetParam();
  check_large<float>(p.exp2_or_infinity_degree3, 128, polynomial_error(p, 3));
  check_large<float>(p.exp2_or_infinity_degree5, 128, polynomial_error(p, 5));
  check_large<double>(p.exp2_or_infinity_degree11, 1024, polynomial_error(p, 11));
}

// Newton's last step leaves 1.5 e^2 of the error e before it, e <= 2^-14 + u in fp32 and 1.5 2^-28 + 2u in fp64: below
// u/2. Then it rounds, and so does the rest of the formula: 2u.
template <class T>
void check_sqrt(void (*word)(const T *, T *, std::size_t)) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> x = {Limits::min(), std::nextafter(Limits::min(), T(1)), Limits::max(), T(1), T(2), T(4)};
  const std::vector<double> random = random_numbers(20000, 5);
  const int exponents = Limits::max_exponent - 2;
  for (std::size_t i = 0; i < random.size(); i += 2)
    x.push_back(static_cast<T>(std::ldexp(1.5 + random[i] / 2, static_cast<int>(random[i + 1] * exponents))));
  const std::vector<T> y = apply_to<T>(x, word);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Real exact = std::sqrt(static_cast<Real>(x[i]));
    ASSERT_LE(std::abs(y[i] - exact), 2 * unit_of<T>() * exact) << "root of " << x[i];
  }
  // Nothing below the smallest normal number is told from it, and its root is below all roundings.
  for (const T root : apply_to<T>({T(0), -T(0), T(-1), -Limits::min(), Limits::denorm_min()}, word)) {
    EXPECT_GE(root, 0);
    EXPECT_LE(root, std::sqrt(Limits::min()) * (1 + 2 * unit_of<T>()));
  }
}

TEST_P(Words, SquareRoots) {
  check_sqrt<float>(GetParam()->sqrt_fp32);
  check_sqrt<double>(GetParam()->sqrt_fp64);
}

// f is x itself, or y 2^-n rounded twice by u/2 of at most 4/3, which is 1.5 u of log2 y >= log2 3/2; the polynomial
// errs by less than u/2, its roundings by u and u/4, u/16 ... of the steps before, the sum with n by u/2.
template <class T>
void check_log2_1p(void (*word)(const T *, const T *, T *, std::size_t)) {
  std::vector<T> x;
  for (double at = -0x1p-60; at > -1; at *= 1.0007) x.push_back(static_cast<T>(at));
  for (double y = 0.99; y > 0x1p-23; y *= 0.9993) x.push_back(static_cast<T>(y - 1));
  x.push_back(0);
  pad(x);
  std::vector<T> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = 1 + x[i];
  std::vector<T> out(x.size());
  word(x.data(), y.data(), out.data(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    // y is rounded: below 1/2 it is exact, above x is what counts.
    const Real exact = std::log1p(static_cast<Real>(x[i])) * std::numbers::log2e_v<Real>;
    const Real between = x[i] < T(-1.0 / 3) && x[i] > T(-0.5) ? 2 * unit_of<T>() : 0;  // n = -1 and y rounded
    ASSERT_LE(std::abs(out[i] - exact), 4 * unit_of<T>() * std::abs(exact) + between) << "log2 of 1 + " << x[i];
  }
}

TEST_P(Words, Logarithms) {
  check_log2_1p<float>(GetParam()->log2_1p_fp32);
  check_log2_1p<double>(GetParam()->log2_1p_fp64);
}

std::int32_t two(int low, int high) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(high) << 16U |
                                   (static_cast<std::uint32_t>(low) & 0xffffU));
}

void check_products(void (*word)(const std::int32_t *, const std::int32_t *, std::int32_t *, std::size_t)) {
  std::vector<int> numbers = {0, 1, -1, 2, 255, -256, 32765, 32766, -32766, 32767, -32767, 12345, -23456};
  std::vector<std::int32_t> a, b, sum, exact;
  for (const int x0 : numbers)
    for (const int x1 : numbers)
      for (const int y0 : numbers)
        for (const int y1 : numbers) {
          const std::int64_t product = std::int64_t{x0} * y0 + std::int64_t{x1} * y1;
          // A sum before it such that both together come to either end of 32 bits.
          const std::int64_t before = product > 0 ? INT32_MAX - product : INT32_MIN - product;
          a.push_back(two(x0, x1));
          b.push_back(two(y0, y1));
          sum.push_back(static_cast<std::int32_t>(before));
          exact.push_back(static_cast<std::int32_t>(before + product));
        }
  for (std::vector<std::int32_t> *v : {&a, &b, &sum, &exact}) pad(*v);
  word(a.data(), b.data(), sum.data(), a.size());
  EXPECT_EQ(sum, exact);
}

TEST_P(Words, ProductsOfShortNumbersAreExact) {
  check_products(GetParam()->multiply_pairs);
  if (GetParam()->multiply_pairs_fused != nullptr) check_products(GetParam()->multiply_pairs_fused);
}

// The longest points that packing makes: 46339^2 in all, by steps that never pass it.
TEST_P(Words, LongestPointsFit) {
  const int features = 512;
  const int coordinate = 2047;  // 512 * 2047^2 = 2145388544 < 46339^2 < 2^31
  for (auto *word : {GetParam()->multiply_pairs, GetParam()->multiply_pairs_fused}) {
    if (word == nullptr) continue;
    std::vector<std::int32_t> x(most_lanes, two(coordinate, coordinate));
    std::vector<std::int32_t> y(most_lanes, two(-coordinate, -coordinate));
    std::vector<std::int32_t> equal(most_lanes, 0);
    std::vector<std::int32_t> opposite(most_lanes, 0);
    for (int k = 0; k < features; k += 2) {
      word(x.data(), x.data(), equal.data(), most_lanes);
      word(x.data(), y.data(), opposite.data(), most_lanes);
    }
    EXPECT_EQ(equal, std::vector<std::int32_t>(most_lanes, features * coordinate * coordinate));
    EXPECT_EQ(opposite, std::vector<std::int32_t>(most_lanes, -features * coordinate * coordinate));
  }
}

std::string target_name(const ::testing::TestParamInfo<const Primitives *> &info) { return info.param->target; }

INSTANTIATE_TEST_SUITE_P(Every, Words, ::testing::ValuesIn(all_primitives()), target_name);

}  // namespace
}  // namespace flashring::test
#endif  // HWY_ONCE
