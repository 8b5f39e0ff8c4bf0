// TileBlock: a rank's rows cut into tiles, in the backend's own layout, with the arrays that ride along.
#pragma once

#include <span>
#include <vector>

#include "flashring/buffer.hpp"
#include "flashring/partition.hpp"
#include "flashring/points.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// The tiles of a rank: its ranges, each cut every `tile_rows` rows.
std::vector<TileInfo> make_tiles(const RowPartition &partition, int rank, int tile_rows);
/// Their number, without making them.
std::int64_t count_tiles(const RowPartition &partition, int rank, int tile_rows);

/// The arrays of tile.hpp for the rows of one rank. The points live here, once: as they were packed. Where that is fp64
/// another precision is packed from there, and given up when it is no longer used.
class TileBlock {
 public:
  TileBlock() = default;
  /// Packs the points in shape.precision. `mean` may be empty (no centring).
  TileBlock(const Backend &backend, const TileShape &shape, const PointBlock &points, std::span<const double> mean);
  /// The same for points that nobody needs any more: their memory goes as tiles come.
  TileBlock(const Backend &backend, const TileShape &shape, PointBlock &&points, std::span<const double> mean);

  /// The same rows after they moved, packed in shape.precision; columns must be set anew.
  void replace_points(const TileShape &shape, PointBlock &&points, std::span<const double> mean);
  /// Passes are in shape.precision from here on; columns must be set anew. The block was packed in it, or in fp64.
  void set_precision(const TileShape &shape);

  const RowPartition &partition() const { return partition_; }
  std::span<const TileInfo> tiles() const { return tiles_; }
  std::int64_t local_rows() const { return local_rows_; }
  int tile_rows() const { return backend_->tile_rows; }
  const Backend &backend() const { return *backend_; }
  Precision precision() const { return precision_; }

  /// Columns from (local_rows, c) column-major with leading dimension ld >= local_rows, row i multiplied by scale[i]
  /// (local_rows) unless that is empty.
  void set_columns(const double *x, std::int64_t ld, int columns, std::span<const double> scale);
  /// Per-pass scalars (local_rows); the padding becomes `padding` (minus infinity for log weights).
  void set_pass_scalars(std::span<const double> values, double padding);
  /// State back in user order: out is (local_rows, outputs) column-major with leading dimension ld, row i multiplied by
  /// scale[i] (local_rows) unless that is empty.
  void finish(RowKind row, int columns, double *out, std::int64_t ld, std::span<const double> scale = {});

  /// The tiles of a rank of the partition where the backend reads them; on hosts those of this rank alone are there.
  const TileInfo *tile_list(int rank) const;
  /// The block as one side of a call; no state where the side does not receive.
  TileSide side(bool receives);
  AlignedBuffer &payload() { return precision_ == packed_ ? points_ : other_; }
  /// Payloads of other ranks' tiles that stay here (Ring::make_resident), by owner; empty where blocks travel.
  std::vector<AlignedBuffer> &resident() { return resident_; }
  AlignedBuffer &pass_scalars() { return pass_scalars_; }
  AlignedBuffer &columns() { return columns_; }
  AlignedBuffer &state() { return state_; }

 private:
  TileBlock(const Backend &backend, const RowPartition &partition, int rank);
  /// Packs every tile; `done(begin, end)` is told the rows that are, many at a time.
  template <class Done>
  void pack(const TileShape &shape, const PointBlock &points, std::span<const double> mean, Done done);
  template <class T>
  void fill_columns(const double *x, std::int64_t ld, int columns, std::span<const double> scale);
  template <class T>
  void fill_pass_scalars(std::span<const double> values, double padding);
  void take_answers(const TileShape &shape, int outputs, double *out, std::int64_t ld, std::span<const double> scale);
  /// For calls of the device; the scale is on its way there.
  RowMap row_map(std::span<const double> scale);
  /// Of local_rows numbers, on their way to the device.
  const double *upload(const double *values, AlignedBuffer &buffer);

  const Backend *backend_ = nullptr;
  RowPartition partition_;
  Precision packed_ = Precision::fp64;     // of points_
  Precision precision_ = Precision::fp64;  // of the passes
  std::int64_t local_rows_ = 0;
  std::vector<TileInfo> tiles_;
  int rank_ = 0;
  AlignedBuffer device_tiles_;             // those of all ranks on a device, else empty
  std::vector<std::size_t> device_first_;  // (ranks) where a rank's begin
  AlignedBuffer offsets_;                  // (tiles + 1) rows before each tile, there
  AlignedBuffer numbers_;                  // (rows) one column on its way to or from there
  AlignedBuffer scale_;                    // (rows) what columns are multiplied with, there
  AlignedBuffer points_;                   // (tiles, payload_bytes)
  AlignedBuffer other_;                    // (tiles, payload_bytes) in precision_, empty where that is packed_
  std::vector<AlignedBuffer> resident_;
  AlignedBuffer pass_scalars_;  // (tiles, n_p, T)
  AlignedBuffer columns_;       // (tiles, c, T)
  AlignedBuffer state_;         // (tiles, words, T)
};

}  // namespace flashring
