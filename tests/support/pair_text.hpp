// Parameters of pair functions for points uniform in (-1, 1)^d.
#pragma once

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "flashring/pair.hpp"

namespace flashring::test {

/// Such that weights spread over some decades, in any number of features.
inline std::string spread_pair(const std::string &name, int d) {
  std::ostringstream text;
  text.precision(17);
  text << name;
  if (name == "self_tuned") return text.str();
  text << ":";
  if (name == "variable_bandwidth")
    text << "epsilon=0.3";
  else if (name == "local_mahalanobis")
    text << "beta=1";
  else if (name == "gaussian")
    text << "beta=" << 3.0 / d;
  else if (name == "inner_exp")
    text << "s=" << 3.0 / std::sqrt(d);
  else
    text << "ell=" << 0.6 * std::sqrt(d / 3.0);
  if (name == "rational_quadratic") text << ",a=1.3";
  return text.str();
}

/// Those that every backend has, for any number of features: tests of covariances name their pair function.
inline std::vector<std::string> all_pair_names() {
  std::vector<std::string> names;
  for (const std::string_view name : pair_names())
    if (name != "local_mahalanobis") names.emplace_back(name);
  return names;
}

/// Those that `ref`, `simd` and `sm80` have at so many features.
inline std::vector<std::string> host_pair_names(int d) {
  std::vector<std::string> names = all_pair_names();
  if (d <= most_covariance_features) names.emplace_back("local_mahalanobis");
  return names;
}

}  // namespace flashring::test
