// What one thread of this instruction set can do per second: loops in registers that do one kind of operation.
// No include guard: included once per instruction set inside HWY_NAMESPACE.

/// Seconds of the best of several runs of `work`, each some ten to a hundred microseconds.
template <class Work>
double best_seconds(Work work) {
  using Clock = std::chrono::steady_clock;
  double best = 1;
  for (int run = 0; run < 40; ++run) {
    const auto begin = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

constexpr int rate_chains = many_registers ? 24 : 12;  // latency 4 or 5 times two a cycle and more
constexpr int rate_steps = 10000;

/// Operations per second of `step`, applied to independent vectors over and over.
template <class T, class Step>
HWY_INLINE double operations_per_second(Step step) {
  const hn::ScalableTag<T> d;
  const double seconds = best_seconds([&] {
    Vec<T> v[rate_chains];
#pragma GCC unroll 24
    for (int a = 0; a < rate_chains; ++a) v[a] = hn::Zero(d);
    for (int n = 0; n < rate_steps; ++n) {
#pragma GCC unroll 24
      for (int a = 0; a < rate_chains; ++a) v[a] = step(v[a]);
    }
#pragma GCC unroll 24
    for (int a = 0; a < rate_chains; ++a) keep(v[a]);
  });
  return static_cast<double>(rate_chains) * rate_steps * static_cast<double>(hn::Lanes(d)) / seconds;
}

template <class Precision, bool fused>
HWY_NOINLINE Rates measure_rates() {
  using T = typename Precision::T;
  const hn::ScalableTag<T> d;
  Vec<T> half = hn::Set(d, T(0.5));
  keep(half);  // unknown to the compiler from here on
  Rates rates;
  if (!has_vectors) return rates;  // nothing could be kept in a register
  rates.multiply_adds = operations_per_second<T>([&](Vec<T> v) HWY_ATTR { return opaque(hn::MulAdd(v, half, half)); });
  const double pairs = operations_per_second<T>(
      [&](Vec<T> v) HWY_ATTR { return opaque(hn::Add(opaque(hn::MulAdd(v, half, half)), half)); });
  // Additions cost what they add to the time of multiply-adds, nothing where they have pipes of their own, and never
  // more than alone. Differences below 2 % are noise.
  const double beside = 1 / pairs - 1 / rates.multiply_adds;
  const double alone = operations_per_second<T>([&](Vec<T> v) HWY_ATTR { return opaque(hn::Add(v, half)); });
  rates.adds =
      beside > 0.02 / rates.multiply_adds ? std::max(alone, 1 / beside) : std::numeric_limits<double>::infinity();
  rates.exponentials =
      operations_per_second<T>([&](Vec<T> v) HWY_ATTR { return opaque(exp2_vector<Precision::degree, T>(v)); });
  if constexpr (Precision::short_products) {
    const hn::ScalableTag<std::int32_t> di;
    ShortSums ones = hn::Set(di, 0x10001);
    keep(ones);
    rates.products = 2 * operations_per_second<std::int32_t>(
                             [&](ShortSums v) HWY_ATTR { return opaque(multiply_pairs<fused>(ones, ones, v)); });
  }
  return rates;
}
