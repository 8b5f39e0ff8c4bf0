// Rows of scores on vectors, for every instruction set: entries of a row lie in lanes.
//
// Steps     largest: one look at x. select keeps the scores above the left end of the threshold's bracket, moved
//           together, so that iterations look at what may have a weight alone: some per cent of a row of unlike scores
//           with e = 2, all of it near softmax. weights looks at x again, which is in a cache, and skips the logarithm
//           of vectors without a weight.
// Cost      operations of a vector: largest 3, select 6; of the selected 5 (e = 2) or 31 (fp32, any e) an iteration;
//           weights 7 or 31; together about 16 for e = 2, so a row comes from memory and goes there once.
// Sums      of 512 vectors in working precision, then fp64, in the order of entries: bits depend on the row alone.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/threshold.cpp"
#include "hwy/foreach_target.h"
// Highway asks for this order.
#include "simd/backend.hpp"
#include "simd/includes.hpp"
#include "simd/targets.hpp"

HWY_BEFORE_NAMESPACE();
namespace flashring::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#include "formula.hpp"
#include "simd/primitives.hpp"
// These on the ones before.
#include "threshold.hpp"

template <class T>
using Words = Math<std::conditional_t<sizeof(T) == 4, Fp32, Fp64>, Vec<T>>;
template <class T>
using Weight = ThresholdWeight<Words<T>>;

/// Vectors between two additions to fp64: 128 additions to each lane of four sums.
constexpr std::int64_t summed_vectors = 512;

template <class T>
constexpr T minus_infinity = -std::numeric_limits<T>::infinity();

/// Entries [first, n) of x, fewer than a vector; -infinity beyond.
template <class T>
HWY_INLINE Vec<T> load_some(const T *x, std::int64_t first, std::int64_t n) {
  const hn::ScalableTag<T> d;
  HWY_ALIGN T lanes[hn::MaxLanes(hn::ScalableTag<T>())];
  for (std::size_t l = 0; l < hn::Lanes(d); ++l)
    lanes[l] = first + static_cast<std::int64_t>(l) < n ? x[first + static_cast<std::int64_t>(l)] : minus_infinity<T>;
  return hn::Load(d, lanes);
}

template <class T>
HWY_INLINE void store_some(Vec<T> v, T *x, std::int64_t first, std::int64_t n) {
  const hn::ScalableTag<T> d;
  HWY_ALIGN T lanes[hn::MaxLanes(hn::ScalableTag<T>())];
  hn::Store(v, d, lanes);
  std::copy_n(lanes, n - first, x + first);
}

/// A row's numbers in every lane.
template <class T>
struct Place {
  Place(const ThresholdFamily &family, double row_maximum, double threshold)
      : maximum(Words<T>::set(row_maximum)),
        s(Words<T>::set(family.s)),
        t(Words<T>::set(threshold)),
        rest(Words<T>::set(1 - threshold)),
        e_minus_1(Words<T>::set(family.e_minus_1)) {}
  HWY_INLINE Vec<T> score(Vec<T> x) const { return hn::Mul(s, hn::Sub(x, maximum)); }
  /// No lane has a weight.
  HWY_INLINE bool is_off(Vec<T> z) const {
    const hn::ScalableTag<T> d;
    return hn::AllFalse(d, hn::Gt(hn::Add(z, rest), hn::Zero(d)));
  }
  template <ThresholdPower power>
  HWY_INLINE Weight<T> weight(Vec<T> z) const {
    return threshold_powers<power, Words<T>>(hn::Sub(z, t), hn::Add(z, rest), e_minus_1);
  }
  Vec<T> maximum, s, t, rest, e_minus_1;
};

/// body<power>() with the family's.
template <class Body>
HWY_INLINE auto with_power(ThresholdPower power, const Body &body) {
  switch (power) {
    case ThresholdPower::one:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::one>());
    case ThresholdPower::two:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::two>());
    case ThresholdPower::three:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::three>());
    case ThresholdPower::four:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::four>());
    case ThresholdPower::any:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::any>());
    case ThresholdPower::exponential:
      break;
  }
  return body(std::integral_constant<ThresholdPower, ThresholdPower::exponential>());
}

template <class T>
double largest(const T *x, std::int64_t n) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const Vec<T> infinity = hn::Set(d, -minus_infinity<T>);
  Vec<T> most[2] = {hn::Set(d, minus_infinity<T>), hn::Set(d, minus_infinity<T>)};
  auto number = hn::Lt(most[0], infinity);  // false for NaN, too
  std::int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes)
    for (int k = 0; k < 2; ++k) {
      const Vec<T> v = hn::LoadU(d, x + i + k * lanes);
      number = hn::And(number, hn::Lt(v, infinity));
      most[k] = hn::Max(most[k], v);
    }
  for (; i < n; i += lanes) {
    const Vec<T> v = load_some(x, i, n);
    number = hn::And(number, hn::Lt(v, infinity));
    most[0] = hn::Max(most[0], v);
  }
  if (!hn::AllTrue(d, number)) return std::numeric_limits<double>::infinity();
  // Not MaxOfLanes: without vectors it begins at the lowest finite number, and -infinity would not be found.
  HWY_ALIGN T of_lanes[hn::MaxLanes(hn::ScalableTag<T>())];
  hn::Store(hn::Max(most[0], most[1]), d, of_lanes);
  return static_cast<double>(*std::max_element(of_lanes, of_lanes + hn::Lanes(d)));
}

/// The lanes of z above `lowest` to `to`, one beside the other; how many.
template <class T>
HWY_INLINE std::int64_t keep_above(Vec<T> z, Vec<T> lowest, T *to) {
  const hn::ScalableTag<T> d;
  const auto above = hn::Gt(z, lowest);
  hn::StoreU(hn::Compress(z, above), d, to);  // a store under a mask is slow on some processors
  return static_cast<std::int64_t>(hn::CountTrue(d, above));
}

template <class T>
std::int64_t select(const ThresholdRow<T> &row, const ThresholdFamily &family, T *z) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const Place<T> place(family, row.maximum, 0);
  const bool exponential = family.power == ThresholdPower::exponential;
  const Vec<T> lowest = hn::Set(d, exponential ? T(std::numeric_limits<T>::min_exponent * ln_of_2) : T(-1));
  std::int64_t count = 0;
  std::int64_t i = 0;
  // A whole vector is stored: z has room for it, since count <= i.
  for (; i + lanes <= row.n; i += lanes)
    count += keep_above<T>(place.score(hn::LoadU(d, row.x + i)), lowest, z + count);
  if (i < row.n) count += keep_above<T>(place.score(load_some(row.x, i, row.n)), lowest, z + count);
  std::fill(z + count, z + padded_scores(count), minus_infinity<T>);
  return count;
}

template <class T, ThresholdPower power>
ThresholdSums sums_by(const T *z, std::int64_t count, double t, const ThresholdFamily &family) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const Place<T> place(family, 0, t);
  ThresholdSums sum;
  for (std::int64_t first = 0; first < count; first += summed_vectors * lanes) {
    const std::int64_t end = std::min(padded_scores(count), first + summed_vectors * lanes);
    Vec<T> p[4];
    Vec<T> u[4];
    for (int k = 0; k < 4; ++k) p[k] = u[k] = hn::Zero(d);
    for (std::int64_t i = first; i < end; i += 4 * lanes)
      for (int k = 0; k < 4; ++k) {
        const Weight<T> weight = place.template weight<power>(hn::LoadU(d, z + i + k * lanes));
        p[k] = hn::Add(p[k], weight.p);
        u[k] = hn::Add(u[k], weight.u);
      }
    sum.first += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(p[0], p[1]), hn::Add(p[2], p[3])))));
    sum.second +=
        static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(u[0], u[1]), hn::Add(u[2], u[3])))));
  }
  return sum;
}

template <class T>
ThresholdSums sums(const T *z, std::int64_t count, double t, const ThresholdFamily &family) {
  [[maybe_unused]] const FlushSubnormals alive;
  return with_power(family.power, [&](auto power) HWY_ATTR { return sums_by<T, power()>(z, count, t, family); });
}

/// Runs body(vector of x, first entry, whole) over a row.
template <class T, class Body>
HWY_INLINE void for_each_vector(const T *x, std::int64_t n, const Body &body) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(hn::LoadU(d, x + i), i, true);
  if (i < n) body(load_some(x, i, n), i, false);
}

template <class T, ThresholdPower power>
void weights_by(const ThresholdRow<T> &row, const ThresholdFamily &family, double factor, T *p) {
  const hn::ScalableTag<T> d;
  const Place<T> place(family, row.maximum, row.t);
  const Vec<T> by = Words<T>::set(factor);
  for_each_vector<T>(row.x, row.n, [&](Vec<T> x, std::int64_t i, bool whole) HWY_ATTR {
    const Vec<T> z = place.score(x);
    Vec<T> v = hn::Zero(d);
    if (power != ThresholdPower::any || !place.is_off(z)) v = hn::Mul(by, place.template weight<power>(z).p);
    whole ? hn::StoreU(v, d, p + i) : store_some<T>(v, p, i, row.n);
  });
}

template <class T>
void weights(const ThresholdRow<T> &row, const ThresholdFamily &family, double factor, T *p) {
  [[maybe_unused]] const FlushSubnormals alive;
  with_power(family.power, [&](auto power) HWY_ATTR { weights_by<T, power()>(row, family, factor, p); });
}

template <class T>
HWY_INLINE Vec<T> load_at(const T *x, std::int64_t i, std::int64_t n, bool whole) {
  return whole ? hn::LoadU(hn::ScalableTag<T>(), x + i) : load_some(x, i, n);
}

template <class T, ThresholdPower power>
ThresholdSums gradient_sums_by(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const Place<T> place(family, row.maximum, row.t);
  ThresholdSums sum;
  for (std::int64_t first = 0; first < row.n; first += summed_vectors * lanes) {
    const std::int64_t end = std::min(row.n, first + summed_vectors * lanes);
    Vec<T> u_sum = hn::Zero(d);
    Vec<T> ug_sum = hn::Zero(d);
    for_each_vector<T>(row.x + first, end - first, [&](Vec<T> x, std::int64_t i, bool whole) HWY_ATTR {
      const Vec<T> z = place.score(x);
      if (power == ThresholdPower::any && place.is_off(z)) return;
      const Vec<T> u = place.template weight<power>(z).u;
      const Vec<T> on = Words<T>::where_positive(u, load_at(g + first, i, end - first, whole), hn::Zero(d));
      u_sum = hn::Add(u_sum, u);
      ug_sum = hn::MulAdd(u, on, ug_sum);
    });
    sum.first += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, u_sum)));
    sum.second += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, ug_sum)));
  }
  return sum;
}

template <class T>
ThresholdSums gradient_sums(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g) {
  [[maybe_unused]] const FlushSubnormals alive;
  return with_power(family.power, [&](auto power) HWY_ATTR { return gradient_sums_by<T, power()>(row, family, g); });
}

/// r of a score, or 0 where it is not asked for.
template <class T, ThresholdPower power, ThresholdScale scale, bool parameter>
HWY_INLINE Vec<T> parameter_of(const Place<T> &place, Vec<T> z, const Weight<T> &weight, Vec<T> e, Vec<T> se) {
  if constexpr (!parameter) return hn::Zero(hn::ScalableTag<T>());
  return threshold_parameter<power, scale, Words<T>>(hn::Sub(z, place.t), hn::Add(z, place.rest), weight, e, se);
}

template <class T, ThresholdPower power, ThresholdScale scale, bool parameter>
double gradient_by(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g, double mean, T *dx) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const Place<T> place(family, row.maximum, row.t);
  const Vec<T> e = Words<T>::set(family.e);
  const Vec<T> se = Words<T>::set(family.s * family.e);
  const Vec<T> middle = Words<T>::set(mean);
  double sum = 0;
  for (std::int64_t first = 0; first < row.n; first += summed_vectors * lanes) {
    const std::int64_t some = std::min(row.n - first, summed_vectors * lanes);
    Vec<T> r_sum = hn::Zero(d);
    for_each_vector<T>(row.x + first, some, [&](Vec<T> x, std::int64_t i, bool whole) HWY_ATTR {
      const Vec<T> z = place.score(x);
      if (power != ThresholdPower::exponential && place.is_off(z)) {
        whole ? hn::StoreU(hn::Zero(d), d, dx + first + i) : store_some<T>(hn::Zero(d), dx + first, i, some);
        return;
      }
      const Weight<T> weight = place.template weight<power>(z);
      const Vec<T> centred =
          Words<T>::where_positive(weight.u, hn::Sub(load_at(g + first, i, some, whole), middle), hn::Zero(d));
      r_sum = hn::MulAdd(parameter_of<T, power, scale, parameter>(place, z, weight, e, se), centred, r_sum);
      const Vec<T> v = hn::Mul(se, hn::Mul(weight.u, centred));
      whole ? hn::StoreU(v, d, dx + first + i) : store_some<T>(v, dx + first, i, some);
    });
    sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, r_sum)));
  }
  return sum;
}

/// With r, whose logarithm takes longer than a power, all whole powers are taken as any.
template <class T, ThresholdPower power>
double gradient_with_parameter(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g, double mean,
                               T *dx) {
  switch (family.scale) {
    case ThresholdScale::tsallis:
      return gradient_by<T, power, ThresholdScale::tsallis, true>(row, family, g, mean, dx);
    case ThresholdScale::none:
      return gradient_by<T, power, ThresholdScale::none, true>(row, family, g, mean, dx);
    case ThresholdScale::porous:
      break;
  }
  return gradient_by<T, power, ThresholdScale::porous, true>(row, family, g, mean, dx);
}

template <class T>
double gradient(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g, double mean, bool parameter,
                T *dx) {
  [[maybe_unused]] const FlushSubnormals alive;
  if (parameter && family.power == ThresholdPower::exponential)
    return gradient_with_parameter<T, ThresholdPower::exponential>(row, family, g, mean, dx);
  if (parameter) return gradient_with_parameter<T, ThresholdPower::any>(row, family, g, mean, dx);
  return with_power(family.power, [&](auto power) HWY_ATTR {
    return gradient_by<T, power(), ThresholdScale::tsallis, false>(row, family, g, mean, dx);
  });
}

template <class T>
constexpr ThresholdKernels<T> kernels = {largest<T>, select<T>, sums<T>, weights<T>, gradient_sums<T>, gradient<T>};

const ThresholdBackend *get_threshold_table() {
  static const ThresholdBackend table = {"simd", target_name(false), kernels<float>, kernels<double>};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace flashring::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace flashring::simd {
namespace {

HWY_EXPORT(get_threshold_table);

}  // namespace

const ThresholdBackend *open_threshold(const char *ceiling) {
  static const std::vector<const ThresholdBackend *> tables = [] {
    std::vector<const ThresholdBackend *> made;
    for_each_target([&made] { made.push_back(HWY_DYNAMIC_DISPATCH(get_threshold_table)()); });
    return made;
  }();
  if (*ceiling == '\0') return tables.front();
  for (const ThresholdBackend *table : tables)
    if (std::strcmp(table->target, ceiling) == 0) return table;
  return nullptr;
}

}  // namespace flashring::simd
#endif  // HWY_ONCE
