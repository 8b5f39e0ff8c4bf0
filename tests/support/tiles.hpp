// The arrays of tile.hpp, made by the tests alone: what a caller of a backend's table has to provide.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "flashring/tile.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

/// Bytes aligned to 128, as the contract asks.
class AlignedBytes {
 public:
  void resize(std::size_t bytes);
  std::byte *data() { return data_.get(); }
  const std::byte *data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  /// A copy, to compare bits.
  std::vector<std::byte> copy() const { return {data(), data() + size_}; }

 private:
  struct Free {
    void operator()(std::byte *p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

/// One side of a call. `points` holds the rows of all tiles, one after the other.
class TileArrays {
 public:
  TileArrays(const Backend &backend, const TileShape &shape, const PointSet &points, std::vector<TileInfo> tiles,
             const std::vector<double> &mean = {});

  /// (rows, columns) column-major; zero in the padding.
  void set_columns(const std::vector<double> &values);
  /// (rows); the padding becomes minus infinity.
  void set_log_weights(const std::vector<double> &values);
  /// (rows, count) column-major, of rules with numbers of their own for this side.
  void set_pass_scalars(const std::vector<double> &values, int count, double padding);
  void reset_state();
  /// Overwrites the state's padding rows.
  void fill_state_padding(double value);

  TileSide side();
  /// (rows, outputs) column-major.
  std::vector<double> finish() const;
  const std::vector<TileInfo> &tiles() const { return tiles_; }
  AlignedBytes &state() { return state_; }
  AlignedBytes &payload() { return payload_; }
  AlignedBytes &columns() { return columns_; }
  AlignedBytes &log_weights() { return log_weights_; }
  /// Global row of every row.
  std::vector<std::int64_t> global_rows() const;

 private:
  void fill(AlignedBytes &array, const std::vector<double> &values, int columns, double padding) const;
  std::size_t tile_rows() const { return static_cast<std::size_t>(backend_->tile_rows); }

  const Backend *backend_;
  TileShape shape_;
  std::vector<TileInfo> tiles_;
  std::size_t rows_ = 0;
  AlignedBytes payload_, log_weights_, columns_, state_;
};

/// Every tile of `own` with every tile of `visiting`.
std::vector<TilePair> all_pairs(const TileArrays &own, const TileArrays &visiting, Sides sides, bool masked);

/// One evaluate call with scratch of its own.
void evaluate(const Backend &backend, const TileShape &shape, TileArrays &own, TileArrays &visiting,
              const std::vector<TilePair> &pairs);

/// The state of the first tile of `own` with the named tiles of `visiting`, in that order, its own side receiving.
std::vector<std::byte> fold_state(const Backend &backend, const TileShape &shape, TileArrays &own, TileArrays &visiting,
                                  const std::vector<int> &tiles);
/// Both states of a tile in one.
std::vector<std::byte> merge_states(const Backend &backend, const TileShape &shape, std::vector<std::byte> into,
                                    const std::vector<std::byte> &from);

/// K itself, (own, visiting) like PairTable: every weight alone, by `columns` unit vectors at a time. No sums, no
/// errors of sums. shape.columns does not matter.
std::vector<double> single_weights(const Backend &backend, TileShape shape, const PointSet &own,
                                   const std::vector<TileInfo> &own_tiles, const PointSet &visiting,
                                   const std::vector<TileInfo> &visiting_tiles, int columns);

/// Consecutive tiles with the given row counts, rows counted from `first`.
std::vector<TileInfo> make_tile_list(std::int64_t first, const std::vector<int> &counts);

/// Rows of tiles with these counts.
std::size_t total_rows(const std::vector<int> &counts);

/// Pairs of rows whose tiles are not due, or skipped, do not count any more.
void keep(PairTable &table, const std::vector<TileInfo> &own, const std::vector<TileInfo> &visiting,
          PairPattern pattern, const std::uint64_t *kept);

/// The beginning of `most`, which answers for more columns.
Bounded first_columns(const Bounded &most, std::size_t count);

/// `rows` rows cut into tiles of at most `tile_rows`.
std::vector<TileInfo> cut(std::int64_t first, std::size_t rows, int tile_rows);

/// Backends to test: one name for each, lower ceilings on the instruction set that this machine offers included.
std::vector<std::string> backends_to_test();
/// Those without amx, whose emulation is too slow for long lists; it has lists of its own.
std::vector<std::string> vector_backends();
/// A name that GoogleTest takes for a parameter.
std::string test_name(std::string text);

}  // namespace flashring::test
