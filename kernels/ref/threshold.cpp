// Rows of scores in plain loops; fp64 inside, whatever the scores are.
#include <cmath>
#include <limits>

#include "flashring/pair.hpp"
#include "ref/backend.hpp"
#include "threshold_kernels.hpp"

namespace flashring::ref {
namespace {

#include "formula.hpp"
#include "threshold.hpp"

using Weight = ThresholdWeight<ScalarMath>;

/// A power chosen at run time.
Weight powers_at(const ThresholdFamily &family, double z, double t) {
  const double d = z - t;
  const double y = z + (1 - t);
  switch (family.power) {
    case ThresholdPower::one:
      return threshold_powers<ThresholdPower::one, ScalarMath>(d, y, 0);
    case ThresholdPower::two:
      return threshold_powers<ThresholdPower::two, ScalarMath>(d, y, 1);
    case ThresholdPower::three:
      return threshold_powers<ThresholdPower::three, ScalarMath>(d, y, 2);
    case ThresholdPower::four:
      return threshold_powers<ThresholdPower::four, ScalarMath>(d, y, 3);
    case ThresholdPower::any:
      return threshold_powers<ThresholdPower::any, ScalarMath>(d, y, family.e_minus_1);
    case ThresholdPower::exponential:
      return threshold_powers<ThresholdPower::exponential, ScalarMath>(d, y, 0);
  }
  return {};
}

template <ThresholdPower power>
double parameter_at(const ThresholdFamily &family, double z, double t, Weight weight) {
  const double d = z - t;
  const double y = z + (1 - t);
  const double se = family.s * family.e;
  switch (family.scale) {
    case ThresholdScale::tsallis:
      return threshold_parameter<power, ThresholdScale::tsallis, ScalarMath>(d, y, weight, family.e, se);
    case ThresholdScale::none:
      return threshold_parameter<power, ThresholdScale::none, ScalarMath>(d, y, weight, family.e, se);
    case ThresholdScale::porous:
      return threshold_parameter<power, ThresholdScale::porous, ScalarMath>(d, y, weight, family.e, se);
  }
  return 0;
}

/// z as `select` stores it, so that its sums are those of the weights.
template <class T>
double score(const ThresholdRow<T> &row, const ThresholdFamily &family, std::int64_t i) {
  return static_cast<T>(family.s * (static_cast<double>(row.x[i]) - row.maximum));
}

template <class T>
double largest(const T *x, std::int64_t n) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  double most = -infinity;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!(x[i] < infinity)) return infinity;
    if (x[i] > most) most = static_cast<double>(x[i]);
  }
  return most;
}

template <class T>
std::int64_t select(const ThresholdRow<T> &row, const ThresholdFamily &family, T *z) {
  const double lowest =
      family.power == ThresholdPower::exponential ? std::numeric_limits<double>::min_exponent * ln_of_2 : -1;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < row.n; ++i) {
    const double value = score(row, family, i);
    if (value > lowest) z[count++] = static_cast<T>(value);
  }
  return count;
}

template <class T>
ThresholdSums sums(const T *z, std::int64_t count, double t, const ThresholdFamily &family) {
  ThresholdSums sum;
  for (std::int64_t i = 0; i < count; ++i) {
    const Weight weight = powers_at(family, static_cast<double>(z[i]), t);
    sum.first += weight.p;
    sum.second += weight.u;
  }
  return sum;
}

template <class T>
void weights(const ThresholdRow<T> &row, const ThresholdFamily &family, double factor, T *p) {
  for (std::int64_t i = 0; i < row.n; ++i)
    p[i] = static_cast<T>(factor * powers_at(family, score(row, family, i), row.t).p);
}

template <class T>
ThresholdSums gradient_sums(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g) {
  ThresholdSums sum;
  for (std::int64_t i = 0; i < row.n; ++i) {
    const double u = powers_at(family, score(row, family, i), row.t).u;
    if (u == 0) continue;
    sum.first += u;
    sum.second += u * static_cast<double>(g[i]);
  }
  return sum;
}

template <class T>
double gradient(const ThresholdRow<T> &row, const ThresholdFamily &family, const T *g, double mean, bool parameter,
                T *dx) {
  double sum = 0;
  for (std::int64_t i = 0; i < row.n; ++i) {
    const double z = score(row, family, i);
    const Weight weight = powers_at(family, z, row.t);
    const double centred = weight.u > 0 ? static_cast<double>(g[i]) - mean : 0;
    if (parameter && weight.u > 0)
      sum += centred * (family.power == ThresholdPower::exponential
                            ? parameter_at<ThresholdPower::exponential>(family, z, row.t, weight)
                            : parameter_at<ThresholdPower::any>(family, z, row.t, weight));
    dx[i] = static_cast<T>(family.s * family.e * weight.u * centred);
  }
  return sum;
}

template <class T>
constexpr ThresholdKernels<T> kernels = {largest<T>, select<T>, sums<T>, weights<T>, gradient_sums<T>, gradient<T>};

}  // namespace

const ThresholdBackend *open_threshold(const char *ceiling) {
  static constexpr ThresholdBackend table = {"ref", "", kernels<float>, kernels<double>};
  return *ceiling == '\0' ? &table : nullptr;
}

}  // namespace flashring::ref
