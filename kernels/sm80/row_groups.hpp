// Rows of scores in the hands of groups of threads: sums over a group, and a row's way between the arrays of a call and
// shared memory. Written for a Thread as weights.hpp says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "sm80/row_cut.hpp"
#include "sm80/stored_numbers.hpp"
#include "threshold_kernels.hpp"

namespace flashring::sm80 {

/// Every thread's two numbers become those of its group; all of its threads get the same bits. Warps call it as a
/// whole.
enum class Together : std::uint8_t { sums, largest_and_sum };

template <Together how>
FLASHRING_DEVICE ThresholdSums joined(ThresholdSums a, const ThresholdSums &b) {
  if constexpr (how == Together::sums)
    a.first += b.first;
  else
    a.first = a.first > b.first ? a.first : b.first;
  a.second += b.second;
  return a;
}

template <Together how, class Thread>
FLASHRING_DEVICE ThresholdSums group_total(Thread &t, int width, ThresholdSums mine) {
  FLASHRING_ROLL
  for (int distance = 1; distance < width && distance < 32; distance *= 2)
    mine = joined<how>(mine, {t.shuffle_xor(mine.first, distance), t.shuffle_xor(mine.second, distance)});
  if (width <= 32) return mine;
  auto *of_warps = reinterpret_cast<ThresholdSums *>(t.shared());  // (width / 32)
  if (t.lane() == 0) of_warps[t.warp()] = mine;
  t.sync();
  ThresholdSums total = of_warps[0];
  for (int w = 1; w < width / 32; ++w) total = joined<how>(total, of_warps[w]);
  t.sync();  // before they are written again
  return total;
}

template <class Thread>
FLASHRING_DEVICE void sync_group(Thread &t, int width) {
  if (width > 32)
    t.sync();
  else
    t.sync_warp();
}

/// Whether a row of this warp, or of this block, is not done.
template <class Thread>
FLASHRING_DEVICE bool any_is_open(Thread &t, int width, bool done) {
  int open = done ? 0 : 1;
  for (int distance = width; distance < 32; distance *= 2) open |= t.shuffle_xor(open, distance);
  return open != 0;
}

/// A row, or part of one, in the arrays of the call.
struct RowPiece {
  std::int64_t row;
  std::int64_t part;
  std::int64_t begin;  ///< of its first number
  int n;               ///< 0: there is no such row
};

FLASHRING_DEVICE RowPiece piece_at(const ThresholdCall &call, const RowCut &cut, std::int64_t number) {
  RowPiece piece{number, 0, 0, 0};
  if (cut.parts > 1) {  // divisions of 64 bits would take as long as a short row
    piece.row = number / cut.parts;
    piece.part = number % cut.parts;
  }
  if (piece.row >= call.rows) return piece;
  const std::int64_t first = piece.part * cut.part;
  piece.n = static_cast<int>(call.n - first < cut.part ? call.n - first : cut.part);
  const std::int64_t row_begin =
      call.inner == 1 ? piece.row * call.n : piece.row / call.inner * call.n * call.inner + piece.row % call.inner;
  piece.begin = row_begin + first * call.inner;
  return piece;
}

FLASHRING_DEVICE const ThresholdFamily &family_of(const ThresholdCall &call, std::int64_t row) {
  return call.families[call.groups == 1 ? 0 : row / call.rows_per_group % call.groups];
}

/// Where some of the numbers that a thread moves lie.
struct MovedNumbers {
  int place[moved_at_once];        ///< in shared memory; below 0: no number
  std::int64_t at[moved_at_once];  ///< in the arrays
};

/// body(MovedNumbers) for all numbers that this thread moves: threads beside each other move numbers beside each other,
/// along the rows of a warp or, where these are strided, across them.
template <class Thread, class Body>
FLASHRING_DEVICE void for_each_number(Thread &t, const ThresholdCall &call, const RowCut &cut, const Body &body) {
  const int movers = cut.width > 32 ? cut.width : 32;
  const int rows = movers / cut.width;
  const int first_row = t.thread() / movers * rows;  // in the block
  const int mover = t.thread() % movers;
  const std::int64_t first = static_cast<std::int64_t>(t.block()) * (cut.threads / cut.width) + first_row;
  const bool across = call.inner > 1 && rows > 1;
  const int step = across ? movers / rows : movers;
  int q = across ? mover % rows : 0;
  int i = across ? mover / rows : mover;
  RowPiece piece = piece_at(call, cut, first + q);
  // Several rows of a warp that are gone through along themselves lie one behind the other, whole.
  const auto settle = [&] {
    while (i >= piece.n && piece.n > 0) {
      i -= piece.n;
      ++q;
      piece.begin += piece.n;
      if (across || q == rows || ++piece.row == call.rows) piece.n = 0;
    }
  };
  settle();
  FLASHRING_ROLL
  while (piece.n > 0) {
    MovedNumbers moved;
    FLASHRING_UNROLL
    for (int k = 0; k < moved_at_once; ++k) {
      moved.place[k] = piece.n > 0 ? (first_row + q) * cut.stride + i : -1;
      moved.at[k] = piece.begin + i * call.inner;
      i += step;
      settle();
    }
    body(moved);
  }
}

/// body(Storage as a constant) with the call's, outside of loops over numbers.
template <class T, class Body>
FLASHRING_DEVICE void with_storage(Storage storage, const Body &body) {
  if constexpr (sizeof(T) == 8) return body(std::integral_constant<Storage, Storage::fp64>());
  if constexpr (sizeof(T) == 4) {
    if (storage == Storage::bf16) return body(std::integral_constant<Storage, Storage::bf16>());
    if (storage == Storage::fp16) return body(std::integral_constant<Storage, Storage::fp16>());
    return body(std::integral_constant<Storage, Storage::fp32>());
  }
}

/// Numbers of an array to shared memory: all are asked for before the first is waited for.
template <Storage storage, class T>
FLASHRING_DEVICE void load_moved(const MovedNumbers &moved, const void *from, T *to) {
  T value[moved_at_once];
  FLASHRING_UNROLL
  for (int k = 0; k < moved_at_once; ++k)
    value[k] = moved.place[k] < 0 ? T(0) : load_number<storage, T>(from, moved.at[k]);
  FLASHRING_UNROLL
  for (int k = 0; k < moved_at_once; ++k)
    if (moved.place[k] >= 0) to[moved.place[k]] = value[k];
}

/// What a thread has of its group's row.
template <class T>
struct HeldRow {
  RowPiece piece;
  int width;
  int member;  ///< of the group: entries member, member + width, ...
  T *x;        // (n) shared; then z
  T *g;        // (n) shared
  template <class Body>
  FLASHRING_DEVICE void each(const Body &body) const {
    FLASHRING_UNROLL_4
    for (int i = member; i < piece.n; i += width) body(i);
  }
};

/// The rows of the block come in.
template <class T, class Thread>
FLASHRING_DEVICE HeldRow<T> take_rows(Thread &t, const ThresholdCall &call, const RowCut &cut) {
  const int groups = cut.threads / cut.width;
  const int group = t.thread() / cut.width;
  T *x = reinterpret_cast<T *>(t.shared() + cut.threads / 32 * static_cast<int>(sizeof(ThresholdSums)));
  T *g = x + static_cast<std::ptrdiff_t>(groups) * cut.stride;  // (groups, stride) each
  with_storage<T>(call.storage, [&](auto storage) {
    for_each_number(t, call, cut, [&](const MovedNumbers &moved) {
      load_moved<storage()>(moved, call.x, x);
      if (reads_gradient(call.step)) load_moved<storage()>(moved, call.g, g);
    });
  });
  sync_group(t, cut.width);
  const std::ptrdiff_t own = static_cast<std::ptrdiff_t>(group) * cut.stride;
  return {piece_at(call, cut, static_cast<std::int64_t>(t.block()) * groups + group), cut.width, t.thread() % cut.width,
          x + own, g + own};
}

/// What stands in place of x goes out.
template <class T, class Thread>
FLASHRING_DEVICE void give_rows(Thread &t, const ThresholdCall &call, const RowCut &cut) {
  const T *x = reinterpret_cast<const T *>(t.shared() + cut.threads / 32 * static_cast<int>(sizeof(ThresholdSums)));
  sync_group(t, cut.width);
  with_storage<T>(call.storage, [&](auto storage) {
    for_each_number(t, call, cut, [&](const MovedNumbers &moved) {
      FLASHRING_UNROLL
      for (int k = 0; k < moved_at_once; ++k)
        if (moved.place[k] >= 0) store_number<storage()>(x[moved.place[k]], call.out, moved.at[k]);
    });
  });
}

}  // namespace flashring::sm80
