// Residuals in fp64: one pass per 64 pairs.
#include <cmath>

#include "flashring/diffusion_map.hpp"

namespace flashring {

std::vector<double> residuals(KernelOperator &op, std::span<const double> values, const std::vector<double> &vectors) {
  const std::int64_t n = op.local_rows();
  const int count = static_cast<int>(values.size());
  std::vector<double> product(vectors.size());  // (local_rows, K)
  if (count > 0) op.apply_fp64(vectors.data(), n, product.data(), n, count);
  std::vector<double> squares(values.size(), 0.0);
  for (std::size_t k = 0; k < values.size(); ++k)
    for (std::int64_t i = 0; i < n; ++i) {
      const std::size_t at = k * static_cast<std::size_t>(n) + static_cast<std::size_t>(i);
      const double r = product[at] - values[k] * vectors[at];
      squares[k] += r * r;
    }
  op.communicator().sum(std::span<double>(squares));
  for (double &square : squares) square = std::sqrt(square);
  return squares;
}

}  // namespace flashring
