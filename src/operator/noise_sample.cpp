// Norms of products and of their errors from m of N rows:
//
//   |A x|^2 ~ N/m sum_{i in S} (A x)_i^2,  S uniform without replacement
//
// Cost: m N pairs of points in fp64 and in the precision in question, N^2/128 at most where N > 4096.
#include "operator/noise_sample.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "points/row_sample.hpp"

namespace flashring {
namespace {

std::vector<GlobalRow> sample_rows(const KernelOperator &op) {
  constexpr std::uint64_t minor = 1;  // 0: the median's
  const std::int64_t count = std::clamp<std::int64_t>(op.rows() / 64, 64, 512);
  const int rank = op.communicator().rank();
  return smallest_rows(op.communicator(), op.partition(),
                       uniform_keys(op.partition(), rank, op.options().seed, RandomStream::sample, minor), count);
}

}  // namespace

NoiseSample::NoiseSample(KernelOperator &op) : op_(op), rows_(sample_rows(op)), product_(op, op.gather_points(rows_)) {}

/// The sampled rows of x, (m, columns), on every rank.
std::vector<double> NoiseSample::gather(const double *x, std::int64_t ldx, int columns) const {
  const std::size_t m = rows_.size();
  std::vector<double> found(m * static_cast<std::size_t>(columns), 0.0);
  for (std::size_t i = 0; i < m; ++i)
    if (const auto local = op_.partition().local_row(op_.communicator().rank(), rows_[i]))
      for (int c = 0; c < columns; ++c) found[static_cast<std::size_t>(c) * m + i] = x[c * ldx + local->value];
  op_.communicator().sum(std::span<double>(found));
  return found;
}

std::vector<ProductNoise> NoiseSample::measure(const SumRequest &request, bool scaled) {
  const std::size_t m = rows_.size();
  const auto [x, ldx, columns] = std::tuple(request.x, request.ldx, request.columns);
  const std::vector<double> scale = scaled ? gather(request.left.data(), op_.local_rows(), 1) : std::vector<double>();
  const std::vector<double> vectors = gather(x, ldx, columns);
  std::vector<double> exact(vectors.size());
  std::vector<double> found(vectors.size());
  SumRequest sampled = request;
  sampled.left = scale;
  sampled.scaling = 0;
  sampled.ldy = static_cast<std::int64_t>(m);
  sampled.y = found.data();
  product_.apply_transpose(sampled);
  sampled.precision = Precision::fp64;
  sampled.y = exact.data();
  product_.apply_transpose(sampled);
  std::vector<double> squares(static_cast<std::size_t>(columns), 0.0);  // |x|^2
  for (int c = 0; c < columns; ++c)
    for (std::int64_t i = 0; i < op_.local_rows(); ++i)
      squares[static_cast<std::size_t>(c)] += x[c * ldx + i] * x[c * ldx + i];
  op_.communicator().sum(std::span<double>(squares));
  std::vector<ProductNoise> noise(squares.size());
  const double of_all = static_cast<double>(op_.rows()) / static_cast<double>(m);
  for (std::size_t c = 0; c < noise.size(); ++c) {
    for (std::size_t i = c * m; i < (c + 1) * m; ++i) {
      noise[c].product += exact[i] * exact[i];
      noise[c].error += (found[i] - exact[i]) * (found[i] - exact[i]);
      noise[c].along += vectors[i] * exact[i];
    }
    noise[c].product = std::sqrt(of_all * noise[c].product);
    noise[c].error = std::sqrt(of_all * noise[c].error);
    noise[c].along = squares[c] > 0 ? of_all * std::abs(noise[c].along) / std::sqrt(squares[c]) : 0;
  }
  return noise;
}

}  // namespace flashring
