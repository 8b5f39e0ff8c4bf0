// Packing of features for backend amx, see payload.hpp.
#include "amx/payload.hpp"

#include <cmath>
#include <cstring>

#include "amx/bf16.hpp"

namespace flashring::amx {
namespace {

/// Writes one feature of one row into both layouts.
void put(const PayloadLayout &layout, int row, int feature, const std::uint16_t *parts, std::byte *payload) {
  const int block = row / unit_rows;
  const int i = row % unit_rows;
  const int k = feature % chunk;
  for (int t = 0; t < layout.terms; ++t) {
    std::byte *at = payload + static_cast<std::size_t>(block) * layout.block_bytes() +
                    static_cast<std::size_t>(feature / chunk * layout.terms + t) * unit_bytes;
    std::memcpy(at + (i * chunk + k) * 2, &parts[t], 2);
    std::memcpy(at + layout.columns_at() + ((k / 2 * unit_rows + i) * 2 + k % 2) * 2, &parts[t], 2);
  }
}

}  // namespace

void pack_terms(const TileShape &shape, const PackInput &input, bool with_norms, std::byte *payload) {
  const PayloadLayout layout = payload_layout(shape);
  std::memset(payload, 0, layout.bytes());
  float *norms = reinterpret_cast<float *>(payload + layout.norms_at());  // (T)
  const double scale = with_norms ? input.scale * std::sqrt(2.0) : input.scale;
  for (int i = 0; i < static_cast<int>(input.count); ++i) {
    double norm = 0;
    for (int k = 0; k < shape.features; ++k) {
      const double mean = input.mean != nullptr ? input.mean[k] : 0;
      const auto value = static_cast<float>((input.rows[std::int64_t{i} * shape.features + k] - mean) * scale);
      std::uint16_t parts[split_terms];
      split(value, layout.terms, parts);
      put(layout, i, k, parts, payload);
      norm += double{value} * double{value};
    }
    if (with_norms) norms[i] = static_cast<float>(-norm / 2);
  }
}

bool same_row(const PayloadLayout &layout, const std::byte *a, int row_of_a, const std::byte *b, int row_of_b) {
  const auto start = [&layout](const std::byte *payload, int row) {
    return payload + static_cast<std::size_t>(row / unit_rows) * layout.block_bytes() +
           static_cast<std::size_t>(row % unit_rows) * chunk * 2;
  };
  for (int n = 0; n < layout.chunks * layout.terms; ++n)
    if (std::memcmp(start(a, row_of_a) + std::size_t{unit_bytes} * n, start(b, row_of_b) + std::size_t{unit_bytes} * n,
                    chunk * 2) != 0)
      return false;
  return true;
}

}  // namespace flashring::amx
