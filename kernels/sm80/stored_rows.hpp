// Rows of a caller's arrays on the device, in their storage, and tiles: one thread's view; block b works on tile b.
//
// Numbers of a row lie beside each other in the array, and rows beside each other in a tile. 16 columns of a tile's
// rows at a time go through shared memory, so that threads beside each other read, and write, numbers beside each
// other. Pieces for tensor cores lie row after row themselves and need no such way. Conversions and products are those
// of the host, bit for bit. Cost: a read and a write for each number, as many reads as there are pieces for those.
#pragma once

#include "sm80/pack_pieces.hpp"
#include "sm80/rows.hpp"
#include "sm80/stored_numbers.hpp"

namespace flashring::sm80 {

/// 32 to 128 bytes of a row.
constexpr int staged_columns = 16;
/// Odd, so that threads of neighbouring rows meet other banks.
constexpr int stage_stride = staged_columns + 1;
constexpr int stage_numbers = tile_rows * stage_stride;

/// Of the tile of this block.
struct StoredTile {
  std::int64_t begin = 0;  ///< its first row in the array
  int count = 0;           ///< of its rows
};
template <class Thread>
FLASHRING_DEVICE StoredTile stored_tile(const Thread &t, const RowMap &rows) {
  const std::int64_t begin = rows.offsets[t.block()];
  return {begin, static_cast<int>(rows.offsets[t.block() + 1] - begin)};
}

/// Column `column` of those that are meant, in row i of the tile.
template <class Byte>
FLASHRING_DEVICE std::int64_t stored_place(const StoredRows<Byte> &array, const StoredTile &tile, int i, int column) {
  return (tile.begin + i) * array.width + array.first + column;
}
FLASHRING_DEVICE double stored_number(const StoredRows<const std::byte> &from, const StoredTile &tile, int i,
                                      int column) {
  return load_number(from.data, from.storage, stored_place(from, tile, i, column));
}

FLASHRING_DEVICE bool is_finite(double x) { return x - x == 0; }

/// Calls use(row, column) for the numbers of so many rows and columns from this thread, neighbours in neighbouring
/// threads.
template <class Thread, class Use>
FLASHRING_DEVICE void for_each_staged(const Thread &t, int rows, int columns, const Use &use) {
  for (int n = t.thread(); n < rows * staged_columns; n += tile_rows)
    if (n % staged_columns < columns) use(n / staged_columns, n % staged_columns);
}

FLASHRING_EVERYWHERE int at_most_staged(int columns) { return columns < staged_columns ? columns : staged_columns; }

/// `wrong` of this tile becomes 1 where any thread says so, else 0.
template <class Thread>
FLASHRING_DEVICE void tell_wrong(Thread &t, bool mine, std::int32_t *wrong) {
  const bool any = t.sync_or(mine);
  if (t.thread() == 0) wrong[t.block()] = any ? 1 : 0;
}

/// array[tile][column + c][i] becomes number c of row i times `scale`, the padding zero: columns, and the payload of
/// features as they are. Shared memory: stage_numbers doubles, here and below.
template <class T, class Thread>
FLASHRING_DEVICE void place_stored(Thread &t, const RowMap &rows, int columns, int column,
                                   const StoredRows<const std::byte> &from, double scale, std::int32_t *wrong,
                                   T *array) {
  double *stage = reinterpret_cast<double *>(t.shared());  // (T, stage_stride)
  T *to = array + tile_offset(t.block(), columns) + std::ptrdiff_t{column} * tile_rows + t.thread();
  const StoredTile tile = stored_tile(t, rows);
  bool bad = false;
  for (int first = 0; first < from.count; first += staged_columns) {
    const int some = at_most_staged(from.count - first);
    for_each_staged(t, tile.count, some, [&](int i, int c) {
      const double x = stored_number(from, tile, i, first + c);
      bad = bad || !is_finite(x);
      stage[i * stage_stride + c] = x;
    });
    t.sync();
    for (int c = 0; c < some; ++c) {
      const double x = t.thread() < tile.count ? stage[t.thread() * stage_stride + c] * scale : 0;
      to[std::ptrdiff_t{first + c} * tile_rows] = static_cast<T>(x);
    }
    t.sync();
  }
  tell_wrong(t, bad, wrong);
}

/// The payload of pieces, of a layout without norms.
template <class Thread>
FLASHRING_DEVICE void pack_stored_pieces(Thread &t, const RowMap &rows, const PieceLayout &layout,
                                         const StoredRows<const std::byte> &from, double scale, std::int32_t *wrong,
                                         std::byte *payloads) {
  std::byte *payload = payloads + t.block() * static_cast<std::int64_t>(layout.bytes());
  const StoredTile tile = stored_tile(t, rows);
  bool bad = false;
  for (int chunk = 0; chunk < layout.chunks(); ++chunk) {
    const ChunkContent content = chunk_content(layout, chunk);
    for_each_staged(t, tile_rows, chunk_columns, [&](int i, int column) {
      const FoldedColumn c = chunk_column(content, column);
      std::uint16_t bits = 0;
      if (c.feature >= 0 && i < tile.count) {
        const double x = stored_number(from, tile, i, c.feature);
        bad = bad || !is_finite(x);
        bits = split(static_cast<float>(x * scale * piece_scale(layout))).bits[c.piece];
      }
      set_chunk_value(payload, chunk, i, column, bits);
    });
  }
  tell_wrong(t, bad, wrong);
}

/// Columns of an array become answers of a row rule, a state_rule.
template <RowKind row, class Thread>
FLASHRING_DEVICE void take_stored(Thread &t, const RowMap &rows, int words, const StoredAnswers &answers,
                                  const double *states, const StoredRows<std::byte> &to) {
  double *stage = reinterpret_cast<double *>(t.shared());  // (T, stage_stride)
  const double *state = states + tile_offset(t.block(), words);
  const auto of_row = [&](int output) { return answer<Thread>(Rule<row>{}, words, output, t.thread(), state); };
  const StoredTile tile = stored_tile(t, rows);
  const double divisor = answers.divisor < 0 ? 1 : of_row(answers.divisor);
  for (int first = 0; first < to.count; first += staged_columns) {
    const int some = at_most_staged(to.count - first);
    for (int c = 0; c < some; ++c)
      stage[t.thread() * stage_stride + c] =
          (divisor == 0 ? 0 : of_row(answers.first + first + c) / divisor) * answers.factor;
    t.sync();
    for_each_staged(t, tile.count, some, [&](int i, int c) {
      store_number(stage[i * stage_stride + c], to.data, to.storage, stored_place(to, tile, i, first + c));
    });
    t.sync();
  }
}

/// products[row] = <a_row, b_row>.
template <class Thread>
FLASHRING_DEVICE void multiply_stored(Thread &t, const RowMap &rows, const StoredRows<const std::byte> &a,
                                      const StoredRows<const std::byte> &b, double *products) {
  double *stage = reinterpret_cast<double *>(t.shared());  // (T, stage_stride)
  const StoredTile tile = stored_tile(t, rows);
  double sum = 0;
  for (int first = 0; first < a.count; first += staged_columns) {
    const int some = at_most_staged(a.count - first);
    for_each_staged(t, tile.count, some, [&](int i, int c) {
      stage[i * stage_stride + c] = stored_number(a, tile, i, first + c) * stored_number(b, tile, i, first + c);
    });
    t.sync();
    for (int c = 0; c < some; ++c) sum += stage[t.thread() * stage_stride + c];
    t.sync();
  }
  if (t.thread() < tile.count) products[tile.begin + t.thread()] = sum;
}

}  // namespace flashring::sm80
