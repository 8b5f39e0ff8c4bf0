// Residuals in fp64.
#include <algorithm>
#include <cmath>

#include "flashring/diffusion_map.hpp"

namespace flashring {

std::vector<double> residuals(KernelOperator &op, std::span<const double> values, const std::vector<double> &vectors) {
  const auto n = static_cast<std::size_t>(op.local_rows());
  const std::size_t count = values.size();
  const auto block = static_cast<std::size_t>(residual_block(static_cast<int>(count)));
  std::vector<double> product(n * block);  // (local_rows, block)
  std::vector<double> squares(count, 0.0);
  for (std::size_t first = 0; first < count; first += block) {
    const std::size_t columns = std::min(block, count - first);
    op.apply_fp64(vectors.data() + first * n, op.local_rows(), product.data(), op.local_rows(),
                  static_cast<int>(columns));
    for (std::size_t at = 0; at < columns * n; ++at) {
      const std::size_t k = first + at / n;
      const double r = product[at] - values[k] * vectors[first * n + at];
      squares[k] += r * r;
    }
  }
  op.communicator().sum(std::span<double>(squares));
  for (double &square : squares) square = std::sqrt(square);
  return squares;
}

}  // namespace flashring
