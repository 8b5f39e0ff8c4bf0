// Landmarks of a diffusion operator: which rows stand for all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flashring/kernel_operator.hpp"

namespace flashring {

/// Rows, none twice, and how many rows each stands for up to a common factor.
struct LandmarkChoice {
  std::vector<GlobalRow> rows;
  std::vector<double> weights;  // (rows.size())
};

/// What to choose landmarks for: M = diag(scale) K diag(scale).
struct LandmarkRequest {
  std::string rule;               ///< uniform, kmeans++, leverage
  std::int64_t count = 1;         ///< 1 <= count <= N
  int columns = 1;                ///< eigenvectors that are wanted
  std::span<const double> scale;  ///< (local_rows)
  std::uint64_t seed = 1;
};

/// Throws Error for a word that is no rule.
void check_landmark_rule(const std::string &rule);

/// Rows whose points every rank gathers to draw landmarks from; 0 where none are needed. `numbers`: of a point.
std::int64_t sampled_rows(const std::string &rule, std::int64_t count, std::int64_t rows, int numbers);

/// At most request.count rows, the same for any number of ranks. Collective.
LandmarkChoice choose_landmarks(KernelOperator &op, const LandmarkRequest &request);

/// Those of the numbers of all ranks, (local_rows) each, that belong to these rows, on every rank. Collective.
std::vector<double> values_at(const KernelOperator &op, std::span<const double> values,
                              std::span<const GlobalRow> rows);

/// diag(s) K(landmarks, landmarks) diag(s), (m, m). Not collective.
std::vector<double> scaled_among(std::vector<double> among, std::span<const double> scale);

}  // namespace flashring
