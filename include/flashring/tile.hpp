// THE contract between src/ and kernels/: what a backend is asked to do with two blocks cut into tiles, and the table
// through which it is asked. C++17, no MPI, no PETSc, no allocation behind it.
//
// A block (the rows of one rank) is an array of tiles of T = Backend::tile_rows rows, the last of each row range
// ragged. Everything that belongs to rows lies tile by tile and is padded to T, so tile t of an array with S bytes a
// tile starts at t*S:
//
//   payload      (tiles, payload_bytes)  features, norms and the scalars of the pair function (sigma, rho), packed
//                                        by the backend; padding must not disturb sums
//   pass_scalars (tiles, n_p, T)         per-pass numbers of the row rule (log weights, thresholds); n_p is
//                                        RowRule::scalars, of the own side own_scalars where that is not 0
//   columns      (tiles, c, T)           column values, zero in the padding
//   state        (tiles, words, T)       8-byte words, see row.hpp
//
// pass_scalars and columns have the element type of the precision (double, float).
//
// The work is a list of tile pairs. Whatever leaves a pair out (causal masks, skip lists, the sharing of a symmetric
// block between two ranks) and whatever makes problems independent (batches, heads, grouped heads) is in that list and
// in TileInfo, so kernels know none of it. Batch entry b and head h are simply other tiles, with rows counted from 0
// within their sequence. A device is asked for the pairs of a pattern instead, which it finds itself (BlockCall).
#pragma once

#include "flashring/pair.hpp"
#include "flashring/row.hpp"
#include "flashring/storage.hpp"
#include "flashring/types.hpp"

namespace flashring {

/// Rows [first, first + rows) of the sequence, rows <= T. Global, 64 bits: masks compare these.
struct TileInfo {
  GlobalRow first;
  std::int32_t rows = 0;
};

/// One piece of work. `masked` says that the mask cuts through this pair, so pairs of points must be tested.
struct TilePair {
  std::int32_t own = 0;
  std::int32_t visiting = 0;
  Sides sides = Sides::own;
  bool masked = false;
};

/// Which pairs of tiles of two blocks are due.
enum class PairPattern : std::uint8_t {
  rectangle,  ///< every (own, visiting) pair
  square,     ///< own is visiting: (I,I) for the own side, then every I < J for both
  even_half,  ///< pairs of a rectangle with an even sum of indices
  odd_half,   ///< the others
};

constexpr bool is_due(PairPattern pattern, std::int64_t own, std::int64_t visiting) {
  return pattern == PairPattern::rectangle || (pattern == PairPattern::square && own <= visiting) ||
         (pattern == PairPattern::even_half && (own + visiting) % 2 == 0) ||
         (pattern == PairPattern::odd_half && (own + visiting) % 2 != 0);
}

/// Pairs of tiles that are not skipped, one bit each: rows of own tiles, padded to whole words.
constexpr std::int64_t kept_words(std::int64_t visiting_tiles) { return (visiting_tiles + 63) / 64; }

constexpr bool is_kept(const std::uint64_t *kept, std::int64_t visiting_tiles, std::int64_t own,
                       std::int64_t visiting) {
  return kept == nullptr || (kept[own * kept_words(visiting_tiles) + visiting / 64] >> (visiting % 64) & 1U) != 0;
}

/// Pairs of points that do not count, by global row.
struct Mask {
  bool causal = false;        ///< visiting row <= own row counts (key <= query)
  bool exclude_self = false;  ///< visiting row != own row counts
  bool active() const { return causal || exclude_self; }
};

constexpr bool visible(const Mask &mask, std::int64_t own_row, std::int64_t visiting_row) {
  return !(mask.causal && visiting_row > own_row) && !(mask.exclude_self && visiting_row == own_row);
}

/// Whether a mask leaves any pair of two tiles, and whether it cuts through them.
enum class Visibility : std::uint8_t { none, some, all };

constexpr Visibility visibility(const Mask &mask, const TileInfo &own, const TileInfo &visiting) {
  const std::int64_t own_last = own.first.value + own.rows - 1;
  const std::int64_t visiting_last = visiting.first.value + visiting.rows - 1;
  if (mask.causal && visiting.first.value > own_last) return Visibility::none;
  const bool overlap = visiting.first.value <= own_last && own.first.value <= visiting_last;
  const bool cut = (mask.causal && visiting_last > own.first.value) || (mask.exclude_self && overlap);
  return cut ? Visibility::some : Visibility::all;
}

/// One side of a call. Pointers a call does not need may be null: columns of the side that only receives, state of the
/// side that only gives.
struct TileSide {
  const TileInfo *tiles = nullptr;          // (tiles)
  const std::byte *payload = nullptr;       // (tiles, payload_bytes)
  const std::byte *pass_scalars = nullptr;  // (tiles, n_p, T)
  const std::byte *columns = nullptr;       // (tiles, c, T)
  std::byte *state = nullptr;               // (tiles, words, T)
};

/// What stays the same for all pairs of a pass.
struct TileShape {
  PairFunction pair;
  RowKind row = RowKind::sum;
  int pass = 0;
  Precision precision = Precision::fp64;
  int features = 0;  ///< d >= 1
  /// c, 0 <= c <= max_columns, more where a rule of attention is supported so wide (0: a rule without value columns); k
  /// of top_k, B of score_bins.
  int columns = 0;
  Mask mask;
};

/// Whose turn it is to add to the states of a tile row. A backend works out what a pair gives to a side, takes the turn
/// of that side, adds, and passes it on; so callers fix the order of additions without keeping copies of states. Each
/// side of the pair has one turn, the own side first where there are two. The turn of the own side may be held while
/// that of the visiting side is taken, so a pair with two sides is of two different tile rows. `add` does not throw.
struct Turns {
  void (*take)(void *context, Sides side) = nullptr;  ///< returns when it is the pair's turn; null: nobody waits
  void (*pass_on)(void *context, Sides side) = nullptr;
  void *context = nullptr;
  /// Calls `add` in the turn of `side`, Sides::own or Sides::visiting.
  template <class Add>
  void in_turn(Sides side, Add add) const {
    if (take != nullptr) take(context, side);
    add();
    if (pass_on != nullptr) pass_on(context, side);
  }
};

/// Fold the listed pairs into the states: for has_own(pair.sides) the own state of row i takes weight k(i,j) with the
/// columns and pass scalars of visiting row j; for has_visiting the visiting state of row j takes the same weight with
/// those of own row i. Row rule top_k takes q(i,j) and the number of the visiting row instead, and the formula does not
/// matter. Sums inside one tile are in the working precision, then fp64. States are added to, never reset.
struct TileCall {
  TileShape shape;
  TileSide own;
  TileSide visiting;
  const TilePair *pairs = nullptr;  // (pair_count)
  std::int64_t pair_count = 0;
  std::byte *scratch = nullptr;  ///< scratch_bytes(shape), aligned to 128, for this call alone
  Turns turns;                   ///< of the pair of a call that has one pair; a call of several has none
  /// (pair_count), or null. Rules of thresholds set the number of a pair to 1 where it may hold a weight that is not 0.
  std::uint8_t *touched = nullptr;
};

/// The same for all pairs of tiles that a pattern makes due between two blocks, less those that the mask hides or that
/// are skipped: what a device is asked, which finds the pairs itself. Where own and visiting states are one array the
/// pattern is square. States get their additions in an order that depends on the arguments alone.
struct BlockCall {
  TileShape shape;
  TileSide own;
  TileSide visiting;
  std::int32_t own_tiles = 0;
  std::int32_t visiting_tiles = 0;
  PairPattern pattern = PairPattern::rectangle;
  Sides sides = Sides::own;             ///< a tile with itself serves its own side alone
  const std::uint64_t *kept = nullptr;  // (own_tiles, kept_words(visiting_tiles)), or null: no pair is skipped
  std::byte *scratch = nullptr;         ///< scratch_bytes(shape), aligned to 128
  /// (own_tiles, kept_words(visiting_tiles)), or null. Rules of thresholds set the bit of a pair that may hold a weight
  /// that is not 0, and leave the others.
  std::uint64_t *touched = nullptr;
};

/// Rows to pack, row-major in double: features, and behind them the scalars of the pair function, which are taken as
/// they are. Packed feature = (x_k - mean_k) * scale.
struct PackInput {
  const double *rows = nullptr;  // (rows, features + scalars)
  std::int64_t count = 0;        ///< rows of this tile, <= T
  const double *mean = nullptr;  // (features), or null
  double scale = 1;
};

/// What one pair of points asks of the machine, by kind of operation: numbers of scalar operations, all columns.
struct TileCost {
  double multiply_adds = 0;  ///< feature products, parts of the formula, column updates
  double adds = 0;           ///< additions, subtractions, comparisons, conversions
  double exponentials = 0;   ///< exp2, as this precision needs it
  double products = 0;       ///< multiply-adds of the unit for short numbers (int16, bf16, matrix units)
  double flops() const { return 2 * (multiply_adds + products) + adds + 10 * exponentials; }
};

/// What one thread can do per second when nothing else is in the way, measured. All 0 where a backend states no limit.
struct Rates {
  double multiply_adds = 0;
  double adds = 0;  ///< beside multiply-adds; infinite where they have pipes of their own
  double exponentials = 0;
  double products = 0;
  /// Seconds of one pair of points that is nothing but these operations. multiply_adds must not be 0.
  double seconds(const TileCost &cost) const {
    return cost.multiply_adds / multiply_adds + cost.adds / adds + cost.exponentials / exponentials +
           (cost.products > 0 ? cost.products / products : 0);
  }
};

/// Largest error of a weight: `argument` (|x|^2 + |y|^2) in q, times both points' scalars where the pair function has
/// them, and relative `weight` in k beyond that and the rounding of the exponent (4u |ln k|). x and y are packed
/// (centred and scaled) points: the longest ones of the two tiles where features are numbers of a unit of their tile
/// (simd, reduced), else the two points themselves.
struct TileError {
  double argument = 0;
  double weight = 0;
};

/// Numbers of rows between a vector, in the order of the tiles' rows, and an array of tiles. All of it on the device.
struct RowMap {
  std::int64_t tiles = 0;
  const std::int64_t *offsets = nullptr;  // (tiles + 1) rows before each tile, and all of them
  const double *scale = nullptr;          // (rows) what every number is multiplied with, or null
};

/// Columns [first, first + count) of an array (rows, width) of a caller on the device, rows in the order of the tiles'.
template <class Byte>
struct StoredRows {
  Byte *data = nullptr;
  Storage storage = Storage::fp32;
  std::int64_t width = 0;
  int first = 0;
  int count = 0;
};

/// Which answers of a row rule become such columns: those from `first` on, divided by answer `divisor` (0 where that is
/// 0), times `factor`.
struct StoredAnswers {
  int first = 0;
  int divisor = -1;  ///< -1: none
  double factor = 1;
};

/// Memory and queue of a backend whose arrays are not the host's. Everything but allocate, release and finish is queued
/// in the order of the calls, and what goes wrong there is told by the next `finish`. Numbers of tiles and of
/// bytes are not 0. For one thread at a time, whose current device is the one that was current at first use: programs
/// choose devices, the library takes one.
struct Device {
  std::byte *(*allocate)(std::size_t bytes);  ///< aligned to 256; null where there is no room
  void (*release)(std::byte *data);           ///< after all queues of the device are through with it
  /// Host memory must stay as it is until `finish`.
  void (*upload)(std::byte *to, const std::byte *from, std::size_t bytes);
  void (*download)(std::byte *to, const std::byte *from, std::size_t bytes);
  /// Identity and merge of the row rule for the states of so many tiles.
  void (*reset)(const TileShape &shape, std::int64_t tiles, std::byte *state);
  void (*merge)(const TileShape &shape, std::int64_t tiles, std::byte *into, const std::byte *from);
  void (*evaluate)(const BlockCall &call);
  /// Column `column` of an array (tiles, columns, T) of the precision becomes `values` (rows), its padding `padding`.
  void (*place)(const RowMap &rows, Precision precision, int columns, int column, const double *values, double padding,
                std::byte *array);
  /// `values` (rows) become answer `output` of the row rule.
  void (*take)(const RowMap &rows, const TileShape &shape, int output, const std::byte *state, double *values);
  /// Payloads as Backend::pack makes them of these rows, without a mean, for inner products. RowMap::scale is not read
  /// here and in the next three. `wrong` (tiles) becomes 1 where a number of a tile is not finite, else 0.
  void (*pack_stored)(const RowMap &rows, const TileShape &shape, const StoredRows<const std::byte> &from, double scale,
                      std::int32_t *wrong, std::byte *payload);
  /// Columns from `column` on of an array (tiles, columns, T) of the precision become these; the padding 0.
  void (*place_stored)(const RowMap &rows, Precision precision, int columns, int column,
                       const StoredRows<const std::byte> &from, std::int32_t *wrong, std::byte *array);
  /// Answers of the row rule become columns of a caller's array.
  void (*take_stored)(const RowMap &rows, const TileShape &shape, const StoredAnswers &answers, const std::byte *state,
                      const StoredRows<std::byte> &to);
  /// `products` (rows) become the inner products of the rows of two arrays, summed in fp64 in the order of columns.
  void (*multiply_stored)(const RowMap &rows, const StoredRows<const std::byte> &a,
                          const StoredRows<const std::byte> &b, double *products);
  /// Waits for everything queued. Null, or what went wrong since the last wait.
  const char *(*finish)();
  /// Bytes that can be had now.
  std::size_t (*room)();
  /// The queue itself, a cudaStream_t, for transports that queue there; null: none can.
  void *(*queue)();
  /// Which device it is, the same for all processes that use it.
  const char *(*identity)();
  int tiles_at_once;  ///< own tiles of a call that it works on at the same time
};

/// A backend: where a tile runs. Obtained by name from find_backend. Its functions may be called by any number of
/// threads at once and do not throw. A backend with a device evaluates blocks through it, and `evaluate` is null.
struct Backend {
  const char *name;    ///< "ref", "simd", "amx"
  const char *target;  ///< instruction set in use: "scalar", "avx2", "avx512", "avx512_vnni", "NEON", ...
  int lanes_fp64;      ///< vector lanes in doubles
  int lanes_fp32;
  int tile_rows;  ///< T
  /// Whether the functions below may be called with this shape.
  bool (*supports)(const TileShape &shape);
  /// Of one tile.
  std::size_t (*payload_bytes)(const TileShape &shape);
  /// Writes the whole payload of one tile; rows from input.count on are such that they disturb no sum.
  void (*pack)(const TileShape &shape, const PackInput &input, std::byte *payload);
  /// The packed values of the first `rows` rows of a tile in fp64, (rows, features + scalars) row-major, up to a
  /// rounding: `pack` takes them, with no mean and scale 1, to the same points in any precision.
  void (*unpack)(const TileShape &shape, const std::byte *payload, std::int64_t rows, double *values);
  /// Of one call, whatever its number of pairs.
  std::size_t (*scratch_bytes)(const TileShape &shape);
  void (*evaluate)(const TileCall &call);
  /// Of one pair of points that serves these sides.
  TileCost (*cost)(const TileShape &shape, Sides sides);
  /// Measures for some milliseconds, on the calling thread. Operations per second; all 0: no limit is stated.
  Rates (*rates)(const TileShape &shape);
  TileError (*error)(const TileShape &shape);
  const Device *device;  ///< null: arrays are the host's, and a call is done when it returns
};

/// `name`: "auto" (the fastest that this machine runs), "cuda" (the same among those of GPUs), a name of
/// backend_names(), or a name with a lower ceiling on the instruction set such as "simd:avx2". Throws Error that lists
/// the known names and says what a GPU lacks.
const Backend &find_backend(std::string_view name);
/// That run here, with their ceilings.
std::vector<std::string> backend_names();
/// Those of GPUs that are compiled in, whether or not they run here.
std::vector<std::string> device_backend_names();

}  // namespace flashring
