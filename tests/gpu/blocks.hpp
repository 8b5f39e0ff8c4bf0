// Two blocks of fresh random points for a device, with what the long double oracle says of them, and which backends are
// tested.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/device_arrays.hpp"
#include "support/oracle.hpp"
#include "support/tiles.hpp"

namespace flashring::test {

/// Backends with a device, variants included. Where this machine has none, the device that is none ("device"), so that
/// these tests are tested themselves; unless FLASHRING_TEST_NEEDS_GPU is set.
std::vector<std::string> device_names();
/// FLASHRING_TEST_SEED, otherwise another number in every run, printed once.
std::uint64_t run_seed();

/// "fp64", "fp32", "reduced".
inline constexpr Precision all_precisions[] = {Precision::fp64, Precision::fp32, Precision::reduced};
inline constexpr RowKind all_rows[] = {RowKind::sum, RowKind::logsumexp};
inline constexpr Sides all_sides[] = {Sides::own, Sides::visiting, Sides::both};
std::string name_of(const TileShape &shape);

/// Rows of each tile of the two blocks, and the first row of each block.
struct Cut {
  std::vector<int> own, visiting;
  std::int64_t own_first = 0;
  std::int64_t visiting_first = 0;
};

class Blocks {
 public:
  /// `text`: the pair function of the shape. The visiting block begins with a copy of an own point, so distances of
  /// exactly 0 are there.
  Blocks(const Backend &backend, const std::string &text, const TileShape &shape, const Cut &cut);

  /// The visiting block becomes the own one.
  void make_square();
  /// Pairs whose tiles are not due, or skipped, do not count any more.
  void keep(PairPattern pattern, const Kept &kept = {});
  /// Other points or log weights than random ones: to be called before anything is asked.
  void shift_points(double offset);
  void scale_log_weights(double factor);
  /// Every second visiting row is not there.
  void hide_visiting_rows();

  TileArrays arrays(bool own) const;
  /// What a side must hold, for the shape's precision: roundings of fp64 and fp32 (tolerance.hpp), for reduced what the
  /// backend states.
  Bounded expected(bool own) const;

  const Backend &backend;
  TileShape shape;

 private:
  void make_tables();

  std::string text_;
  std::vector<TileInfo> own_tiles_, visiting_tiles_;
  PointSet own_points_, visiting_points_;
  std::vector<double> own_values_, visiting_values_, own_weights_, visiting_weights_;
  PairTable table_;
};

}  // namespace flashring::test
