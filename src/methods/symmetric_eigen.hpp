// Eigenpairs of a small dense symmetric matrix, found on one rank for all.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "flashring/communicator.hpp"

namespace flashring {

/// values (n) in descending order; vectors (n, n) column-major, orthonormal.
struct SymmetricEigen {
  std::vector<double> values, vectors;
};

/// Of a matrix (n, n). Throws Error where an entry is not finite. Not collective.
SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::size_t n);

/// What `make` returns on rank 0, on every rank: ranks on unlike machines round differently, and go on together. An
/// Error of rank 0 is thrown by all. Collective.
std::vector<double> from_first_rank(const Communicator &communicator, const std::function<std::vector<double>()> &make);

}  // namespace flashring
