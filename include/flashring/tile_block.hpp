// TileBlock: a rank's rows cut into tiles, in the backend's own layout, with the arrays that ride along.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "flashring/buffer.hpp"
#include "flashring/partition.hpp"
#include "flashring/points.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// The tiles of a rank: its ranges, each cut every `tile_rows` rows, sequence after sequence.
std::vector<TileInfo> make_tiles(const RowPartition &partition, int rank, int tile_rows, Sequences sequences = {});
/// Their number, without making them.
std::int64_t count_tiles(const RowPartition &partition, int rank, int tile_rows, Sequences sequences = {});

/// Throws Error unless the points have lengths or covariances (point_scales) exactly as the pair function reads them,
/// or where there are more features than most_covariance_features for it.
void check_point_scales(const PairFunction &pair, const PointBlock &points);

/// Numbers of rows, (local_rows, count) column-major in user order. Row i is multiplied by scale[i] on the way.
template <class T>
struct Columns {
  T *values = nullptr;
  std::int64_t ld = 0;  ///< leading dimension, at least local_rows
  int count = 1;
  std::span<const double> scale = {};  ///< (local_rows) of the host, or empty
  std::uint64_t scaling = 0;           ///< another number for another scale, so that a device keeps it; 0: it does not
  bool on_device = false;              ///< values are in the memory of the backend's device
};

/// Writes rows [first, first + count) of a block, (count, width) row-major.
using RowReader = std::function<void(LocalRow first, std::int64_t count, double *rows)>;
/// Takes the answers of rows [first, first + count): output o of row i is answers[o * stride + i].
using AnswerReader =
    std::function<void(LocalRow first, std::int64_t count, const double *answers, std::int64_t stride)>;

/// Rows of a caller's array in the memory of the backend's device, where nothing of them is copied to the host.
struct StoredPart {
  StoredRows<const std::byte> rows;
  /// Is told the rows of the first tile that has a number that is not finite; throws.
  std::function<void(LocalRow first, std::int64_t count)> not_finite;
};

/// Where the packed points of a backend with a device are: there, or on the host, from where they go in parts.
enum class PointsMemory : std::uint8_t { device, host };

/// The arrays of tile.hpp for the rows of one rank, or for `sequences` independent sequences of such rows, one after
/// the other: with n rows of this rank in the partition, row i of sequence s is local row s n + i. The points live
/// here, once: as they were packed. Where that is fp64 another precision is packed from there, and given up when it is
/// no longer used.
class TileBlock {
 public:
  TileBlock() = default;
  /// Packs the points in shape.precision. `mean` may be empty (no centring). Points as
  /// check_point_scales wants them.
  TileBlock(const Backend &backend, const TileShape &shape, const PointBlock &points, std::span<const double> mean,
            PointsMemory memory = PointsMemory::device);
  /// The same for points that nobody needs any more: their memory goes as tiles come.
  TileBlock(const Backend &backend, const TileShape &shape, PointBlock &&points, std::span<const double> mean,
            PointsMemory memory = PointsMemory::device);
  /// Points as `unpack` gives them, scalars being their last feature, to be packed as they are: no mean, no scale.
  static TileBlock repack(const Backend &backend, const TileShape &shape, const PointBlock &points,
                          PointsMemory memory = PointsMemory::device);

  /// Sequences, their points read in user units as they are packed; no mean is taken off. On so many threads, as their
  /// columns: readers are called by several at once.
  TileBlock(const Backend &backend, const TileShape &shape, const RowPartition &partition, int rank,
            Sequences sequences, const RowReader &points, int threads = 1);
  /// The same of rows that lie on the backend's device, for inner products.
  TileBlock(const Backend &backend, const TileShape &shape, const RowPartition &partition, int rank,
            Sequences sequences, const StoredPart &points);

  /// The same rows after they moved, packed in shape.precision; columns must be set anew.
  void replace_points(const TileShape &shape, PointBlock &&points, std::span<const double> mean);
  /// Passes are in shape.precision from here on; columns must be set anew. The block was packed in it, or in fp64.
  void set_precision(const TileShape &shape);
  /// Some rows as the formula reads them (mean taken off, scaled, then the scalars) in fp64, (rows.size(),
  /// point_numbers) row-major.
  std::vector<double> unpack(const TileShape &shape, std::span<const LocalRow> rows) const;

  const RowPartition &partition() const { return partition_; }
  std::span<const TileInfo> tiles() const { return tiles_; }
  Sequences sequences() const { return sequences_; }
  std::int64_t local_rows() const { return local_rows_; }  ///< of all sequences
  int tile_rows() const { return backend_->tile_rows; }
  const Backend &backend() const { return *backend_; }
  Precision precision() const { return precision_; }

  void set_columns(const Columns<const double> &x);
  /// The same from rows, (local_rows, columns) row-major.
  void set_columns(int columns, const RowReader &values);
  /// The same from rows on the backend's device, side by side.
  void set_columns(std::span<const StoredPart> parts);
  /// Per-pass scalars; the padding becomes `padding` (minus infinity for log weights).
  void set_pass_scalars(const Columns<const double> &values, double padding);
  void set_pass_scalars(std::span<const double> values, double padding);  // (local_rows)
  /// The answers of the row rule from `first` on, as many as `out` has room for, from states of so many columns.
  void finish(RowKind row, int columns, const Columns<double> &out, int first = 0);
  /// The same, handed over some rows at a time, by so many threads at once. Where the first `few` answers are enough, a
  /// device gives no more.
  void finish(RowKind row, int columns, const AnswerReader &take, int threads = 1, int few = 0);
  /// Some of them into a caller's array on the backend's device.
  void finish(RowKind row, int columns, const StoredAnswers &answers, const StoredRows<std::byte> &to);
  /// Inner products of the rows of two arrays there, (local_rows).
  std::vector<double> row_products(const StoredRows<const std::byte> &a, const StoredRows<const std::byte> &b);
  /// Bytes of columns and answers that have gone between host and device.
  std::uint64_t bytes_copied() const { return bytes_copied_; }

  /// The tiles of a rank of the partition where the backend reads them; on hosts those of this rank alone are there.
  const TileInfo *tile_list(int rank) const;
  /// The block as one side of a call; no state where the side does not receive.
  TileSide side(bool receives);
  /// Where the points are: on the device of the backend, or on the host.
  AlignedBuffer &payload() { return precision_ == packed_ ? points_ : other_; }
  /// Payloads of other ranks' tiles that stay here (Ring::make_resident), by owner; empty where blocks travel.
  std::vector<AlignedBuffer> &resident() { return resident_; }
  AlignedBuffer &pass_scalars() { return pass_scalars_; }
  AlignedBuffer &columns() { return columns_; }
  AlignedBuffer &state() { return state_; }

 private:
  TileBlock(const Backend &backend, const RowPartition &partition, int rank, PointsMemory memory,
            Sequences sequences = {});
  /// Packs every tile, features times `scale`; `done(begin, end)` is told the rows that are, many at a time.
  template <class Done>
  void pack(const TileShape &shape, const PointBlock &points, std::span<const double> mean, double scale, Done done);
  /// An array (tiles, x.count, T) of numbers of rows, with `padding` in the padding.
  void set_rows(const Columns<const double> &x, double padding, AlignedBuffer &array);
  template <class T>
  void fill_rows(const Columns<const double> &x, double padding, AlignedBuffer &array);
  void place_rows(const Columns<const double> &x, double padding, AlignedBuffer &array);
  void take_answers(const TileShape &shape, const Columns<double> &out, int first);
  /// Lets `queue(wrong)` read the rows of a part, and tells it what is not finite.
  template <class Queue>
  void read_stored(const StoredPart &part, Queue queue);
  /// Of the last pass of a rule, for calls of the device.
  TileShape answer_shape(RowKind row, int columns) const;
  /// For calls of the device; the scale is there, or on its way.
  RowMap row_map(std::span<const double> scale, std::uint64_t scaling);
  /// Of local_rows numbers, on their way to the device.
  const double *upload(const double *values, AlignedBuffer &buffer);

  /// A scale that is on the device.
  struct Scale {
    explicit Scale(const Device *device = nullptr) : buffer(device) {}
    const double *host = nullptr;
    std::uint64_t scaling = 0;
    AlignedBuffer buffer;  // (rows)
  };

  const Backend *backend_ = nullptr;
  RowPartition partition_;
  Precision packed_ = Precision::fp64;     // of points_
  Precision precision_ = Precision::fp64;  // of the passes
  Sequences sequences_;
  int threads_ = 1;  // of packing and columns
  std::int64_t local_rows_ = 0;
  std::vector<TileInfo> tiles_;
  int rank_ = 0;
  AlignedBuffer device_tiles_;             // those of all ranks on a device, else empty
  std::vector<std::size_t> device_first_;  // (ranks) where a rank's begin
  AlignedBuffer offsets_;                  // (tiles + 1) rows before each tile, there
  AlignedBuffer numbers_;                  // (rows) one column on its way to or from there
  std::array<Scale, 2> scales_;            // those used last
  int latest_scale_ = 0;
  std::uint64_t bytes_copied_ = 0;
  AlignedBuffer points_;  // (tiles, payload_bytes)
  AlignedBuffer other_;   // (tiles, payload_bytes) in precision_, empty where that is packed_
  std::vector<AlignedBuffer> resident_;
  AlignedBuffer pass_scalars_;  // (tiles, n_p, T)
  AlignedBuffer columns_;       // (tiles, c, T)
  AlignedBuffer state_;         // (tiles, words, T)
};

}  // namespace flashring
