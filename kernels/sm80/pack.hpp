// Packing points into tiles, on the host. Payload of a tile on the plain path: (d, T) features, centred and scaled, and
// behind them (s, T) scalars of the pair function, fp64 for precision fp64 and fp32 otherwise, so that neighbouring
// threads read neighbouring rows; zero in the padding.
// On the tensor path: chunks of pieces (pieces.hpp).
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "flashring/tile.hpp"
#include "sm80/pack_pieces.hpp"
#include "sm80/path.hpp"

namespace flashring::sm80 {

template <Variant variant>
std::size_t payload_bytes(const TileShape &shape) {
  if (takes_pieces(variant, shape)) return layout_of(shape).bytes();
  return static_cast<std::size_t>(row_numbers(shape)) * tile_rows * column_bytes(shape.precision);
}

template <class T>
void pack_as(const TileShape &shape, const PackInput &input, T *x) {
  const std::int64_t width = row_numbers(shape);
  for (std::int64_t i = 0; i < input.count; ++i)
    for (std::int64_t k = 0; k < width; ++k) {
      const double value = input.rows[i * width + k];
      const double centred = value - (input.mean != nullptr && k < shape.features ? input.mean[k] : 0);
      x[k * tile_rows + i] = static_cast<T>(k < shape.features ? centred * input.scale : value);
    }
}

template <Variant variant>
void pack(const TileShape &shape, const PackInput &input, std::byte *payload) {
  if (takes_pieces(variant, shape)) {
    std::vector<Pieces> row(static_cast<std::size_t>(shape.features));
    return pack_pieces(layout_of(shape), input, row.data(), payload);
  }
  std::memset(payload, 0, payload_bytes<variant>(shape));
  if (shape.precision == Precision::fp64)
    pack_as(shape, input, reinterpret_cast<double *>(payload));
  else
    pack_as(shape, input, reinterpret_cast<float *>(payload));
}

template <class T>
void unpack_as(const TileShape &shape, const T *x, std::int64_t rows, double *values) {
  const std::int64_t width = row_numbers(shape);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t k = 0; k < width; ++k) values[i * width + k] = static_cast<double>(x[k * tile_rows + i]);
}

inline void unpack_pieces(const PieceLayout &layout, const std::byte *payload, std::int64_t rows, double *values) {
  for (std::int64_t i = 0; i < rows; ++i)
    for (int k = 0; k < layout.features; ++k)
      values[i * layout.features + k] = packed_feature(layout, payload, static_cast<int>(i), k);
}

template <Variant variant>
void unpack(const TileShape &shape, const std::byte *payload, std::int64_t rows, double *values) {
  if (takes_pieces(variant, shape)) return unpack_pieces(layout_of(shape), payload, rows, values);
  if (shape.precision == Precision::fp64)
    unpack_as(shape, reinterpret_cast<const double *>(payload), rows, values);
  else
    unpack_as(shape, reinterpret_cast<const float *>(payload), rows, values);
}

}  // namespace flashring::sm80
