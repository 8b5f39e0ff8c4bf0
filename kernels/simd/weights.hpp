// Weights of own_vectors x visiting_rows pieces of a tile pair: accumulate features, apply the formula.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// How a formula's q is accumulated in this call.
enum class Sum : std::uint8_t { inner, norms, differences, covariances };

inline Sum choose_sum(Accumulate accumulate, int features) {
  if (accumulate == Accumulate::inner) return Sum::inner;
  if (accumulate == Accumulate::covariance) return Sum::covariances;
  if (accumulate == Accumulate::difference || features <= difference_features) return Sum::differences;
  return Sum::norms;
}

/// Features in 16-bit numbers: only inner products have them.
constexpr bool has_products(Sum sum) { return sum == Sum::inner || sum == Sum::norms; }
template <class Precision, Sum sum>
constexpr bool is_short = Precision::short_products &&has_products(sum);

/// 4-byte words (or 8-byte ones in fp64) that a point's features take.
constexpr int feature_words(bool short_numbers, int features) { return short_numbers ? (features + 1) / 2 : features; }

/// Rows of a payload that lie side by side: a cache line of words of T's size.
template <class T>
constexpr int group_rows = 64 / static_cast<int>(sizeof(T));

/// A packed tile: features (T / group_rows, words, group_rows), so that the features of some rows are read line after
/// line; then (T) -|x|^2/2 of what is stored, where norms are summed, or the scalars of a pair function that has them,
/// and the length of the unit of 16-bit features. With covariances feature k is followed by row k of the point's
/// triangle, in the order in which the form is summed.
template <class T>
struct Payload {
  const T *x;
  int words;
  /// The first word of row i; the next lie group_rows apart.
  const T *row(int i) const {
    return x + static_cast<std::ptrdiff_t>(i / group_rows<T>) * words * group_rows<T> + i % group_rows<T>;
  }
  const T *norms() const { return x + static_cast<std::ptrdiff_t>(words) * tile_rows; }
  const T *scalars() const { return norms(); }  // no formula has both
  T unit() const { return norms()[tile_rows]; }
};

template <class T>
constexpr int vectors() {
  return own_vectors(many_registers);
}

/// q, or -q where squared distances are summed.
template <Sum sum, class T>
using Argument = std::conditional_t<sum == Sum::inner, Vec<T>, Negative<T>>;

/// q[a][b] for own rows i..i + vectors*lanes and visiting rows j..j+3, as inner products or as -q. Cost per feature: 4
/// broadcasts, `vectors` loads, one (products) or two (differences) operations per accumulator.
template <Sum sum, class T>
HWY_INLINE void accumulate(Payload<T> own, Payload<T> visiting, int i, int j,
                           Vec<T> (&q)[vectors<T>()][visiting_rows]) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a)
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b)
      q[a][b] = sum == Sum::norms
                    ? hn::Add(hn::LoadU(d, own.norms() + i + a * lanes), hn::Set(d, visiting.norms()[j + b]))
                    : hn::Zero(d);
  const T *x[NA];
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a) x[a] = own.row(i + a * lanes);
  const T *y = visiting.row(j);
  const std::ptrdiff_t end = std::ptrdiff_t{own.words} * group_rows<T>;
  for (std::ptrdiff_t k = 0; k < end; k += group_rows<T>) {
    Vec<T> xv[NA];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) xv[a] = hn::LoadU(d, x[a] + k);
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b) {
      const Vec<T> yv = hn::Set(d, y[k + b]);
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) {
        if constexpr (sum == Sum::differences) {
          const Vec<T> difference = hn::Sub(xv[a], yv);
          q[a][b] = hn::NegMulAdd(difference, difference, q[a][b]);
        } else {
          q[a][b] = hn::MulAdd(xv[a], yv, q[a][b]);
        }
      }
    }
  }
}

/// The same with covariances: -(x-y)' (B_x + B_y) (x-y). Cost for each pair: two operations for each of the d(d+1)/2
/// numbers of a triangle, and two for each feature. The differences of one visiting row stay in L1.
template <class T>
HWY_INLINE void accumulate_covariances(Payload<T> own, Payload<T> visiting, int i, int j,
                                       Vec<T> (&q)[vectors<T>()][visiting_rows]) {
  constexpr int NA = vectors<T>();
  constexpr std::ptrdiff_t step = group_rows<T>;
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const T *x[NA];
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a) x[a] = own.row(i + a * lanes);
  const std::ptrdiff_t end = own.words * step;
  Vec<T> difference[most_covariance_features][NA];
  for (int b = 0; b < visiting_rows; ++b) {
    const T *y = visiting.row(j + b);
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) q[a][b] = hn::Zero(d);
    for (std::ptrdiff_t k = 0, at = 0; at < end; ++k) {
      Vec<T> sum[NA];
      const Vec<T> yv = hn::Set(d, y[at]);
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) {
        difference[k][a] = hn::Sub(hn::LoadU(d, x[a] + at), yv);
        sum[a] = hn::Zero(d);
      }
      at += step;
      for (std::ptrdiff_t l = 0; l <= k; ++l, at += step) {
        const Vec<T> number = hn::Set(d, y[at]);
#pragma GCC unroll 8
        for (int a = 0; a < NA; ++a)
          sum[a] = hn::MulAdd(hn::Add(hn::LoadU(d, x[a] + at), number), difference[l][a], sum[a]);
      }
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) q[a][b] = hn::NegMulAdd(sum[a], difference[k][a], q[a][b]);
    }
  }
}

/// The same from 16-bit features, whose unit differs from tile to tile: sums of integers are exact.
template <Sum sum, bool fused, class T>
HWY_INLINE void accumulate_short(Payload<T> own, Payload<T> visiting, int i, int j,
                                 Vec<T> (&q)[vectors<T>()][visiting_rows]) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<std::int32_t> di;
  const int lanes = static_cast<int>(hn::Lanes(d));
  ShortSums s[NA][visiting_rows];
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a)
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b) s[a][b] = hn::Zero(di);
  const std::int32_t *x[NA];
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a) x[a] = reinterpret_cast<const std::int32_t *>(own.row(i + a * lanes));
  const std::int32_t *y = reinterpret_cast<const std::int32_t *>(visiting.row(j));
  const std::ptrdiff_t end = std::ptrdiff_t{own.words} * group_rows<T>;
  for (std::ptrdiff_t k = 0; k < end; k += group_rows<T>) {
    ShortSums xv[NA];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) xv[a] = hn::LoadU(di, x[a] + k);
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b) {
      const ShortSums yv = hn::Set(di, y[k + b]);
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) s[a][b] = multiply_pairs<fused>(xv[a], yv, s[a][b]);
    }
  }
  const Vec<T> unit = hn::Set(d, own.unit() * visiting.unit());
#pragma GCC unroll 4
  for (int b = 0; b < visiting_rows; ++b) {
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      const Vec<T> product = hn::ConvertTo(d, s[a][b]);
      if constexpr (sum == Sum::norms)
        q[a][b] = hn::MulAdd(product, unit,
                             hn::Add(hn::LoadU(d, own.norms() + i + a * lanes), hn::Set(d, visiting.norms()[j + b])));
      else
        q[a][b] = hn::Mul(product, unit);
    }
  }
}

/// q[a][b] times the scalars of both rows.
template <class T>
HWY_INLINE void multiply_scalars(Payload<T> own, Payload<T> visiting, int i, int j,
                                 Vec<T> (&q)[vectors<T>()][visiting_rows]) {
  constexpr int NA = vectors<T>();
  const hn::ScalableTag<T> d;
  const int lanes = static_cast<int>(hn::Lanes(d));
#pragma GCC unroll 8
  for (int a = 0; a < NA; ++a) {
    const Vec<T> scalar = hn::LoadU(d, own.scalars() + i + a * lanes);
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b)
      q[a][b] = hn::Mul(q[a][b], hn::Mul(scalar, hn::Set(d, visiting.scalars()[j + b])));
  }
}

/// w[a][b] = k, or log2 k where the row rule asks for it.
template <class Kernel, bool logarithm, class T>
HWY_INLINE void weights(Payload<T> own, Payload<T> visiting, int i, int j, const double *constants,
                        Vec<T> (&w)[vectors<T>()][visiting_rows]) {
  constexpr int NA = vectors<T>();
  using Q = Argument<Kernel::sum, T>;
  using M = Math<typename Kernel::Precision, Q>;
  if constexpr (is_short<typename Kernel::Precision, Kernel::sum>)
    accumulate_short<Kernel::sum, Kernel::fused, T>(own, visiting, i, j, w);
  else if constexpr (Kernel::sum == Sum::covariances)
    accumulate_covariances<T>(own, visiting, i, j, w);
  else
    accumulate<Kernel::sum, T>(own, visiting, i, j, w);
  if constexpr (Formula<Kernel::kind>::declaration.scalars > 0) multiply_scalars<T>(own, visiting, i, j, w);
#pragma GCC unroll 4
  for (int b = 0; b < visiting_rows; ++b)
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      if constexpr (logarithm)
        w[a][b] = Formula<Kernel::kind>::template log2_weight<M>(Q{w[a][b]}, constants);
      else
        w[a][b] = Formula<Kernel::kind>::template weight<M>(Q{w[a][b]}, constants);
    }
}
