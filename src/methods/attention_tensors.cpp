#include "methods/attention_tensors.hpp"

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"

namespace flashring {
namespace {

/// Sums of zeros unless there is a number that is not finite; then it is looked for. Several sums, so that none waits
/// for itself.
bool all_finite(const double *values, std::int64_t count) {
  constexpr int sums = 8;
  double zero[sums] = {};
  std::int64_t n = 0;
  for (; n + sums <= count; n += sums)
    for (int u = 0; u < sums; ++u) zero[u] += values[n + u] * 0;
  for (; n < count; ++n) zero[0] += values[n] * 0;
  return std::all_of(zero, zero + sums, [](double sum) { return sum == 0; });
}

void check_finite(const TensorPart &part, LocalRow row, const double *values) {
  if (all_finite(values, part.count)) return;
  for (int c = 0; c < part.count; ++c)
    FLASHRING_CHECK(std::isfinite(values[c]), part.rows.name, ": ", part.rows.describe(row), ", column ",
                    part.first + c, " is ", values[c],
                    "; every number must be finite (in fp16 those beyond 65504 are not); hide tokens by key_padding");
}

}  // namespace

std::string TensorRows::describe(LocalRow row) const {
  const std::int64_t rows = partition.local_rows(rank);
  const std::int64_t sequence = row.value / rows;
  const GlobalRow global = partition.global_row(rank, LocalRow{row.value % rows});
  return detail::concatenate("batch ", sequence / heads, ", head ", sequence % heads, ", row ", global.value);
}

RowReader read_tensors(std::vector<TensorPart> parts) {
  std::int64_t width = 0;
  for (const TensorPart &part : parts) width += part.count;
  return [parts = std::move(parts), width](LocalRow first, std::int64_t count, double *rows) {
    const TensorPart &whole = parts.front();
    if (whole.width == width) {  // one array, whose rows lie beside each other
      load_numbers(whole.tensor.data, whole.tensor.storage, first.value * width, 1, count * width, rows);
      for (std::int64_t i = 0; i < count; ++i) check_finite(whole, LocalRow{first.value + i}, rows + i * width);
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      double *to = rows + i * width;
      for (const TensorPart &part : parts) {
        const LocalRow row{first.value + i};
        load_numbers(part.tensor.data, part.tensor.storage, row.value * part.width + part.first, 1, part.count, to);
        check_finite(part, row, to);
        to += part.count;
      }
    }
  };
}

void write_rows(const TensorSlice &to, LocalRow first, std::int64_t count, const double *values, std::int64_t stride,
                double factor) {
  constexpr std::int64_t block = 16;  // rows whose numbers lie in two lines of each column
  std::vector<double> rows(static_cast<std::size_t>(block * to.columns));
  for (std::int64_t begin = 0; begin < count; begin += block) {
    const std::int64_t some = std::min(block, count - begin);
    for (std::int64_t c = 0; c < to.columns; ++c)
      for (std::int64_t i = 0; i < some; ++i)
        rows[static_cast<std::size_t>(i * to.columns + c)] = values[c * stride + begin + i] * factor;
    for (std::int64_t i = 0; i < some; ++i)
      store_numbers(rows.data() + i * to.columns, to.columns, to.tensor.data, to.tensor.storage,
                    (first.value + begin + i) * to.width + to.column, 1);
  }
}

std::vector<double> row_products(ConstTensor a, ConstTensor b, std::int64_t rows, int width) {
  std::vector<double> x(static_cast<std::size_t>(width));
  std::vector<double> y(x.size());
  std::vector<double> products(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) {
    load_numbers(a.data, a.storage, i * width, 1, width, x.data());
    load_numbers(b.data, b.storage, i * width, 1, width, y.data());
    double &product = products[static_cast<std::size_t>(i)];
    for (std::size_t c = 0; c < x.size(); ++c) product += x[c] * y[c];
  }
  return products;
}

}  // namespace flashring
