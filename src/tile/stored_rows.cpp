// TileBlock and arrays of a caller on the device of its backend: points, columns and answers go from one place there to
// the other. The host sees a mark for each tile, which says whether a number is not finite, and sums of rows.
#include "flashring/check.hpp"
#include "flashring/tile_block.hpp"
#include "tile/tile_loop.hpp"

namespace flashring {

template <class Queue>
void TileBlock::read_stored(const StoredPart &part, Queue queue) {
  if (tiles_.empty()) return;
  FLASHRING_REQUIRE(backend_->device != nullptr, "rows of a device for tiles of the host");
  const Device &device = *backend_->device;
  AlignedBuffer there(&device);
  std::vector<std::int32_t> wrong(tiles_.size());
  const std::size_t bytes = wrong.size() * sizeof(std::int32_t);
  there.resize(bytes);
  queue(reinterpret_cast<std::int32_t *>(there.data()));
  device.download(reinterpret_cast<std::byte *>(wrong.data()), there.data(), bytes);
  wait_for(&device);
  for_each_tile(tiles_, [&](std::size_t t, std::int64_t local) {
    if (wrong[t] != 0) part.not_finite(LocalRow{local}, tiles_[t].rows);
  });
}

TileBlock::TileBlock(const Backend &backend, const TileShape &shape, const RowPartition &partition, int rank,
                     Sequences sequences, const StoredPart &points)
    : TileBlock(backend, partition, rank, PointsMemory::device, sequences) {
  FLASHRING_REQUIRE(points.rows.count == shape.features, points.rows.count, " features of ", shape.features);
  packed_ = precision_ = shape.precision;
  points_.resize(backend.payload_bytes(shape) * tiles_.size());
  read_stored(points, [&](std::int32_t *wrong) {
    backend.device->pack_stored(row_map({}, 0), shape, points.rows, feature_scale(shape.pair), wrong, points_.data());
  });
}

void TileBlock::set_columns(std::span<const StoredPart> parts) {
  int columns = 0;
  for (const StoredPart &part : parts) columns += part.rows.count;
  columns_.resize(tiles_.size() * static_cast<std::size_t>(columns * tile_rows()) * column_bytes(precision_));
  int column = 0;
  for (const StoredPart &part : parts) {
    read_stored(part, [&](std::int32_t *wrong) {
      backend_->device->place_stored(row_map({}, 0), precision_, columns, column, part.rows, wrong, columns_.data());
    });
    column += part.rows.count;
  }
}

TileShape TileBlock::answer_shape(RowKind row, int columns) const {
  return {{}, row, row_rule(row).passes - 1, precision_, 1, columns, {}};
}

void TileBlock::finish(RowKind row, int columns, const StoredAnswers &answers, const StoredRows<std::byte> &to) {
  const int outputs = row_rule(row).outputs(columns);
  FLASHRING_REQUIRE(answers.first >= 0 && answers.first + to.count <= outputs && answers.divisor < outputs, to.count,
                    " answers from ", answers.first, " by ", answers.divisor, " of ", outputs);
  if (tiles_.empty()) return;
  backend_->device->take_stored(row_map({}, 0), answer_shape(row, columns), answers, state_.data(), to);
  wait_for(backend_->device);
}

std::vector<double> TileBlock::row_products(const StoredRows<const std::byte> &a,
                                            const StoredRows<const std::byte> &b) {
  FLASHRING_REQUIRE(a.count == b.count, "rows of ", a.count, " and ", b.count, " numbers");
  std::vector<double> products(static_cast<std::size_t>(local_rows_));
  if (tiles_.empty()) return products;
  const std::size_t bytes = products.size() * sizeof(double);
  numbers_.resize(bytes);
  backend_->device->multiply_stored(row_map({}, 0), a, b, reinterpret_cast<double *>(numbers_.data()));
  backend_->device->download(reinterpret_cast<std::byte *>(products.data()), numbers_.data(), bytes);
  wait_for(backend_->device);
  return products;
}

}  // namespace flashring
