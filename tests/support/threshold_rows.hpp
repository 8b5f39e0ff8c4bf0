// Rows of scores through a threshold family, as their tests take them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "flashring/random.hpp"
#include "flashring/threshold_rows.hpp"
#include "flashring/tile.hpp"

namespace flashring::test {

using Numbers = std::vector<double>;
inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double epsilon = std::numeric_limits<double>::epsilon();

inline ThresholdRowsOptions make(const std::string &op, double parameter, const std::string &scale = "tsallis") {
  ThresholdRowsOptions options;
  options.op = op;
  options.parameters = {parameter};
  options.family_scale = scale;
  options.threads = 1;
  return options;
}

struct Result {
  Numbers p, dx, parameter;
  ThresholdSaved saved;
  ThresholdMetrics metrics;
};

/// Forward, and backward where there is a g, in fp64.
inline Result run(const ThresholdRowsOptions &options, RowsShape shape, const Numbers &x, const Numbers &g = {}) {
  ThresholdRows rows(shape, options);
  Result result;
  result.p.resize(x.size());
  result.saved = rows.forward(x.data(), Storage::fp64, result.p.data());
  result.dx.resize(g.size());
  if (!g.empty()) result.parameter = rows.backward(x.data(), result.saved, g.data(), Storage::fp64, result.dx.data());
  result.metrics = rows.metrics();
  return result;
}

inline Numbers normals(std::int64_t count, std::uint64_t seed, double factor = 1) {
  Numbers x;
  for (std::int64_t i = 0; i < count; ++i)
    x.push_back(factor * random_normal(seed, RandomStream::points, static_cast<std::uint64_t>(i)));
  return x;
}

inline void expect_near(const Numbers &got, const Numbers &expected, double tolerance, const std::string &what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << what << ", number " << i;
}

inline const std::vector<ThresholdRowsOptions> &families() {
  static const std::vector<ThresholdRowsOptions> all = {make("diffmax", 0.2),
                                                        make("diffmax", 0.5),
                                                        make("diffmax", 0.85),
                                                        make("diffmax", 0.999),
                                                        make("diffmax", 0.5, "none"),
                                                        make("diffmax", 0.85, "none"),
                                                        make("diffmax", 0.3, "porous"),
                                                        make("diffmax", 0.9, "porous"),
                                                        make("entmax", 1.5),
                                                        make("entmax", 1.2),
                                                        make("entmax", 2),
                                                        make("sparsemax", 0)};
  return all;
}

inline std::string name_of(const ThresholdRowsOptions &options) {
  return options.op + " " + std::to_string(options.parameters[0]) + " " + options.family_scale + " on " +
         options.backend;
}

/// fp32 against fp64, u = 2^-24. The score z errs by 3 |z| u (difference, s, product), y by 3 u more (t, 1 - t, sum),
/// and |z| is at most 1 on the support, or near |ln p| / e; p takes e times the weight u of that, and by its
/// normalisation not more than the same again; the powers themselves 4 (1 + |ln p|) u, the division 2 u.
inline double fp32_bound(const ThresholdFamily &family, double exact) {
  constexpr double unit = 0x1p-24;
  const double power = exact > 0 ? std::pow(exact, family.e_minus_1 / family.e) : 1;
  const double log_p = exact > 0 ? std::abs(std::log(exact)) : 0;
  const double y_error = 6 * unit * std::min(1.0, (1 + log_p) / family.e);
  return 2 * family.e * power * y_error + (6 + 4 * log_p) * unit * exact + (exact > 0 ? 0 : 12 * unit);
}

/// Every backend with kernels of rows that this machine has.
inline std::vector<std::string> backends() {
  std::vector<std::string> names;
  for (const std::string &name : backend_names())
    if (name.starts_with("ref") || name.starts_with("simd")) names.push_back(name);
  return names;
}

/// Differences over five places err by h^4 f''''' / 30, 1e-16 f''''' with h = 1e-4, and by epsilon / h = 2e-12.
inline double slope(const std::function<double(double)> &f) {
  constexpr double h = 1e-4;
  return (f(-2 * h) - 8 * f(-h) + 8 * f(h) - f(2 * h)) / (12 * h);
}

}  // namespace flashring::test
