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
                    "; every number must be finite (in fp16 those beyond 65504 are not); hide tokens by key_padding",
                    part.device != nullptr ? ", and write zeros there" : "");
}

/// A row as it was loaded. Whatever stands in a hidden one, a weight of 0 times it is 0.
void check_row(const TensorPart &part, LocalRow row, double *values) {
  if (part.rows.hidden(row))
    std::fill_n(values, part.count, 0.0);
  else
    check_finite(part, row, values);
}

/// Rows [first, first + count) of an array of a device, one of which has a number that is not finite.
void look_for_it(const TensorPart &part, LocalRow first, std::int64_t count) {
  const std::size_t row_bytes = static_cast<std::size_t>(part.width) * storage_bytes(part.tensor.storage);
  std::vector<std::byte> copy(static_cast<std::size_t>(count) * row_bytes);
  const auto *there = static_cast<const std::byte *>(part.tensor.data);
  part.device->download(copy.data(), there + static_cast<std::size_t>(first.value) * row_bytes, copy.size());
  wait_for(part.device);
  std::vector<double> row(static_cast<std::size_t>(part.count));
  for (std::int64_t i = 0; i < count; ++i) {
    load_numbers(copy.data(), part.tensor.storage, i * part.width + part.first, 1, part.count, row.data());
    check_finite(part, LocalRow{first.value + i}, row.data());
  }
}

StoredRows<const std::byte> stored_rows(ConstTensor tensor, int width, int first, int count) {
  return {static_cast<const std::byte *>(tensor.data), tensor.storage, width, first, count};
}

StoredPart stored_part(const TensorPart &part) {
  return {stored_rows(part.tensor, part.width, part.first, part.count),
          [part](LocalRow first, std::int64_t count) { look_for_it(part, first, count); }};
}

}  // namespace

std::string TensorRows::describe(LocalRow row) const {
  const std::int64_t rows = partition.local_rows(rank);
  const std::int64_t sequence = row.value / rows;
  const GlobalRow global = partition.global_row(rank, LocalRow{row.value % rows});
  return detail::concatenate("batch ", first_batch + sequence / heads, ", head ", first_head + sequence % heads,
                             ", row ", global.value);
}

bool TensorRows::hidden(LocalRow row) const {
  if (real.empty()) return false;
  const std::int64_t rows = partition.local_rows(rank);
  return real[static_cast<std::size_t>(row.value / rows / heads * rows + row.value % rows)] == 0;
}

RowReader read_tensors(std::vector<TensorPart> parts) {
  std::int64_t width = 0;
  for (const TensorPart &part : parts) width += part.count;
  return [parts = std::move(parts), width](LocalRow first, std::int64_t count, double *rows) {
    const TensorPart &whole = parts.front();
    if (whole.width == width) {  // one array, whose rows lie beside each other
      load_numbers(whole.tensor.data, whole.tensor.storage, first.value * width, 1, count * width, rows);
      for (std::int64_t i = 0; i < count; ++i) check_row(whole, LocalRow{first.value + i}, rows + i * width);
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      double *to = rows + i * width;
      for (const TensorPart &part : parts) {
        const LocalRow row{first.value + i};
        load_numbers(part.tensor.data, part.tensor.storage, row.value * part.width + part.first, 1, part.count, to);
        check_row(part, row, to);
        to += part.count;
      }
    }
  };
}

TileBlock pack_tensor(const Backend &backend, const TileShape &tile, Sequences sequences, const TensorPart &part,
                      int threads) {
  const RowPartition &partition = part.rows.partition;
  const int rank = part.rows.rank;
  if (part.device != nullptr) return {backend, tile, partition, rank, sequences, stored_part(part)};
  return {backend, tile, partition, rank, sequences, read_tensors({part}), threads};
}

void set_columns(TileBlock &block, const std::vector<TensorPart> &parts) {
  if (parts.front().device == nullptr) {
    int columns = 0;
    for (const TensorPart &part : parts) columns += part.count;
    return block.set_columns(columns, read_tensors(parts));
  }
  std::vector<StoredPart> stored;
  for (const TensorPart &part : parts) stored.push_back(stored_part(part));
  block.set_columns(stored);
}

void write_answers(TileBlock &block, RowKind row, int columns, const StoredAnswers &answers, const TensorSlice &to) {
  block.finish(row, columns, answers,
               {static_cast<std::byte *>(to.tensor.data), to.tensor.storage, to.width, to.column, to.columns});
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

std::vector<double> row_products(TileBlock &block, ConstTensor a, ConstTensor b, int width, bool on_device) {
  if (on_device) return block.row_products(stored_rows(a, width, 0, width), stored_rows(b, width, 0, width));
  const std::int64_t rows = block.local_rows();
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
