// Weights of own_vectors x visiting_rows pieces of a tile pair: accumulate features, apply the formula.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// How a formula's q is accumulated in this call.
enum class Sum : std::uint8_t { inner, norms, differences };

inline Sum choose_sum(Accumulate accumulate, int features) {
  if (accumulate == Accumulate::inner) return Sum::inner;
  if (accumulate == Accumulate::difference || features <= difference_features) return Sum::differences;
  return Sum::norms;
}

/// A packed tile: features (d, payload_stride), then half squared norms (payload_stride).
template <class T>
struct Payload {
  const T *x;
  int features;
  const T *half_norms() const { return x + static_cast<std::size_t>(features) * payload_stride; }
};

template <class T>
constexpr int vectors() {
  return own_vectors(HWY_TARGET <= HWY_AVX3);
}

template <class T>
using Vec = typename Math<T>::V;

/// q[a][b] for own rows i..i + vectors*lanes and visiting rows j..j+3. Cost per feature: 4 broadcasts, `vectors` loads,
/// one (inner, norms) or two (differences) operations per accumulator.
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
      q[a][b] = sum == Sum::norms ? hn::Neg(hn::Add(hn::LoadU(d, own.half_norms() + i + a * lanes),
                                                    hn::Set(d, visiting.half_norms()[j + b])))
                                  : hn::Zero(d);
  const T *x = own.x + i;
  const T *y = visiting.x + j;
  for (int k = 0; k < own.features; ++k, x += payload_stride, y += payload_stride) {
    Vec<T> xv[NA];
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) xv[a] = hn::LoadU(d, x + a * lanes);
#pragma GCC unroll 4
    for (int b = 0; b < visiting_rows; ++b) {
      const Vec<T> yv = hn::Set(d, y[b]);
#pragma GCC unroll 8
      for (int a = 0; a < NA; ++a) {
        if constexpr (sum == Sum::differences) {
          const Vec<T> difference = hn::Sub(xv[a], yv);
          q[a][b] = hn::MulAdd(difference, difference, q[a][b]);
        } else {
          q[a][b] = hn::MulAdd(xv[a], yv, q[a][b]);
        }
      }
    }
  }
  if constexpr (sum == Sum::norms) {
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a)
#pragma GCC unroll 4
      for (int b = 0; b < visiting_rows; ++b)  // -2 (<x,y> - |x|^2/2 - |y|^2/2), never negative
        q[a][b] = hn::Max(hn::Mul(hn::Set(d, T(-2)), q[a][b]), hn::Zero(d));
  }
}

/// w[a][b] = k, or log2 k where the row rule asks for it.
template <PairKind kind, Sum sum, bool logarithm, class T>
HWY_INLINE void weights(Payload<T> own, Payload<T> visiting, int i, int j, const double *constants,
                        Vec<T> (&w)[vectors<T>()][visiting_rows]) {
  constexpr int NA = vectors<T>();
  accumulate<sum, T>(own, visiting, i, j, w);
#pragma GCC unroll 4
  for (int b = 0; b < visiting_rows; ++b)
#pragma GCC unroll 8
    for (int a = 0; a < NA; ++a) {
      if constexpr (logarithm)
        w[a][b] = Formula<kind>::template log2_weight<Math<T>>(w[a][b], constants);
      else
        w[a][b] = Formula<kind>::template weight<Math<T>>(w[a][b], constants);
    }
}
