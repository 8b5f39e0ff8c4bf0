// Coarse spaces from guesses Z: Rayleigh and Ritz in their span,
//
//   Z'Z = U g U',  Z <- Z U g^(-1/2);   Z'AZ = W a W',  Z <- Z W a^(-1/2),  so that Z'AZ = 1
//
// Cost: one product of all guesses, 8 k^2 flops a row for k guesses of a column, two eigenproblems of order k on rank
// 0.
#include "methods/coarse_space.hpp"

#include <cmath>
#include <span>

#include "methods/symmetric_eigen.hpp"

namespace flashring {
namespace {

/// One column's share of a block: Z and A Z, (rows, count).
struct Part {
  const double *basis, *product;
  std::size_t rows, count;
};

/// Z'Z and Z'AZ, (count, count) each, one after the other.
std::vector<double> inner_products(const Communicator &communicator, const Part &part) {
  const std::size_t m = part.count;
  std::vector<double> inner(2 * m * m, 0.0);
  for (std::size_t k = 0; k < m; ++k)
    for (std::size_t l = 0; l <= k; ++l)
      for (std::size_t i = 0; i < part.rows; ++i) {
        const double z = part.basis[k * part.rows + i];
        inner[k * m + l] += z * part.basis[l * part.rows + i];
        inner[(m + k) * m + l] += z * part.product[l * part.rows + i];
      }
  communicator.sum(std::span<double>(inner));
  for (std::size_t k = 0; k < m; ++k)
    for (std::size_t l = 0; l < k; ++l) {
      inner[l * m + k] = inner[k * m + l];
      inner[(m + l) * m + k] = inner[(m + k) * m + l];
    }
  return inner;
}

/// (m, columns of T) = matrix (m, m) times T.
std::vector<double> times(const double *matrix, const std::vector<double> &T, std::size_t m) {
  std::vector<double> product(T.size(), 0.0);
  for (std::size_t c = 0; c < T.size() / m; ++c)
    for (std::size_t k = 0; k < m; ++k)
      for (std::size_t l = 0; l < m; ++l) product[c * m + l] += matrix[k * m + l] * T[c * m + k];
  return product;
}

/// (count, size): Z turns has (Z turns)'A(Z turns) = 1. On rank 0, of what inner_products gives.
std::vector<double> turns_of(const std::vector<double> &inner, std::size_t m) {
  const SymmetricEigen lengths = symmetric_eigen({inner.begin(), inner.begin() + std::ssize(inner) / 2}, m);
  std::vector<double> unit;  // (m, r): Z unit is orthonormal; what is dependent up to rounding is left out
  for (std::size_t k = 0; k < m && lengths.values[k] > 1e-12 * lengths.values[0]; ++k)
    for (std::size_t l = 0; l < m; ++l) unit.push_back(lengths.vectors[k * m + l] / std::sqrt(lengths.values[k]));
  const std::size_t r = unit.size() / m;
  const std::vector<double> applied = times(inner.data() + m * m, unit, m);
  std::vector<double> small(r * r, 0.0);
  for (std::size_t a = 0; a < r; ++a)
    for (std::size_t b = 0; b < r; ++b)
      for (std::size_t l = 0; l < m; ++l) small[b * r + a] += unit[a * m + l] * applied[b * m + l];
  const SymmetricEigen eigen = symmetric_eigen(small, r);
  std::vector<double> turns;
  constexpr double least = 1e-13;  // below that, z'Az is the rounding of products
  for (std::size_t k = 0; k < r && eigen.values[k] > least; ++k)
    for (std::size_t l = 0; l < m; ++l) {
      double sum = 0;
      for (std::size_t a = 0; a < r; ++a) sum += unit[a * m + l] * eigen.vectors[k * r + a];
      turns.push_back(sum / std::sqrt(eigen.values[k]));
    }
  return turns;
}

CoarseSpace space_of(const Communicator &communicator, const Part &part) {
  const std::vector<double> inner = inner_products(communicator, part);
  const std::vector<double> turns = from_first_rank(communicator, [&] { return turns_of(inner, part.count); });
  CoarseSpace space;
  space.size = turns.size() / part.count;
  space.basis.assign(part.rows * space.size, 0.0);
  space.product.assign(part.rows * space.size, 0.0);
  for (std::size_t k = 0; k < space.size; ++k)
    for (std::size_t l = 0; l < part.count; ++l)
      for (std::size_t i = 0; i < part.rows; ++i) {
        space.basis[k * part.rows + i] += turns[k * part.count + l] * part.basis[l * part.rows + i];
        space.product[k * part.rows + i] += turns[k * part.count + l] * part.product[l * part.rows + i];
      }
  return space;
}

}  // namespace

std::vector<CoarseSpace> coarse_spaces(const Communicator &communicator, const ColumnProduct &product, std::size_t rows,
                                       const std::vector<double> &guesses, const std::vector<std::size_t> &counts) {
  std::vector<int> list;  // the column of each guess
  for (std::size_t c = 0; c < counts.size(); ++c) list.insert(list.end(), counts[c], static_cast<int>(c));
  std::vector<double> products(guesses.size());
  product(list, guesses.data(), products.data());
  std::vector<CoarseSpace> found;
  std::size_t at = 0;
  for (const std::size_t count : counts) {
    const Part part{guesses.data() + at, products.data() + at, rows, count};
    found.push_back(count > 0 ? space_of(communicator, part) : CoarseSpace());
    at += count * rows;
  }
  return found;
}

}  // namespace flashring
