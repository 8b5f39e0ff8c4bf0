// Numbers of rows between vectors and tiles on the device, one thread's view; block b works on tile b. Cost: one read
// and one write for each number, so what the host would take several passes over memory and the bus for, takes one.
#pragma once

#include "sm80/logsumexp.hpp"
#include "sm80/sum.hpp"
#include "sm80/top_k.hpp"

namespace flashring::sm80 {

/// array[tile][column][thread] becomes values[row] times scale[row], or the padding.
template <class T, class Thread>
FLASHRING_DEVICE void place_rows(Thread &t, const RowMap &rows, int columns, int column, const double *values,
                                 double padding, T *array) {
  const std::int64_t row = rows.offsets[t.block()] + t.thread();
  double value = padding;
  if (row < rows.offsets[t.block() + 1]) value = rows.scale == nullptr ? values[row] : values[row] * rows.scale[row];
  array[tile_offset(t.block(), columns) + column * tile_rows + t.thread()] = static_cast<T>(value);
}

/// An answer of row i of a tile.
template <class Thread>
FLASHRING_DEVICE double answer(Rule<RowKind::sum> /*rule*/, int /*words*/, int output, int i, const double *state) {
  return state[output * tile_rows + i];
}
template <class Thread>
FLASHRING_DEVICE double answer(Rule<RowKind::logsumexp> /*rule*/, int /*words*/, int output, int i,
                               const double *state) {
  const double sum = state[tile_rows + i];
  if (sum == 0) return output == 0 ? -__builtin_inf() : 0;  // no number stays none
  return output == 0 ? (state[i] + Thread::log2(sum)) * ln_of_2 : state[(1 + output) * tile_rows + i] / sum;
}

template <class Thread>
FLASHRING_DEVICE double answer(Rule<RowKind::top_k> /*rule*/, int words, int output, int i, const double *state) {
  using R = Rule<RowKind::top_k>;
  const int k = words / 2;
  const R::List list = R::list_of(state, tile_rows, static_cast<std::size_t>(i), k);
  const int place = output % k;
  if (output < k) return Thread::sqrt(place < list.rest ? list.rest_q[place] : *list.last_q);
  return static_cast<double>(R::row_at(place < list.rest ? list.rest_row + place : list.last_row));
}

template <class Thread>
FLASHRING_DEVICE double answer(Rule<RowKind::score_bins> /*rule*/, int words, int output, int i, const double *state) {
  return answer<Thread>(Rule<RowKind::sum>{}, words, output, i, state);
}

template <class Thread>
FLASHRING_DEVICE double answer(Rule<RowKind::score_list> /*rule*/, int words, int output, int i, const double *state) {
  return answer<Thread>(Rule<RowKind::sum>{}, words, output, i, state);
}

/// values[row] becomes answer `output` of the row rule, a state_rule, times scale[row].
template <RowKind row, class Thread>
FLASHRING_DEVICE void take_rows(Thread &t, const RowMap &rows, int words, int output, const double *states,
                                double *values) {
  const std::int64_t at = rows.offsets[t.block()] + t.thread();
  if (at >= rows.offsets[t.block() + 1]) return;
  const double value = answer<Thread>(Rule<row>{}, words, output, t.thread(), states + tile_offset(t.block(), words));
  values[at] = rows.scale == nullptr ? value : value * rows.scale[at];
}

}  // namespace flashring::sm80
