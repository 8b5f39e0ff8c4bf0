// What the passes over rows of scores share: a row as kernels take it, Newton's iteration, what becomes of a row.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "flashring/buffer.hpp"
#include "flashring/storage.hpp"
#include "flashring/threshold_rows.hpp"
#include "threshold_kernels.hpp"

namespace flashring {

#include "threshold_search.hpp"

/// One row in the hands of a thread: x and g in working precision, and where its result goes.
template <class T>
struct RowInHand {
  std::int64_t number;
  std::int64_t n;
  const T *x;
  const T *g;
  T *out;
  T *z;  // (padded_scores(n))
};

/// Numbers of working precision for z, x and g of a row, each.
inline std::size_t room_of_row(const RowsShape &shape) { return static_cast<std::size_t>(padded_scores(shape.n + 1)); }

/// One row's numbers in working precision, where kernels take them: in the caller's arrays, or copied to `buffer`, (3,
/// room) with z in front.
template <class T>
RowInHand<T> take_row(const RowsShape &shape, Storage storage, const void *x, const void *g, void *out, std::int64_t r,
                      T *buffer) {
  const std::int64_t first = r / shape.inner * shape.n * shape.inner + r % shape.inner;
  const std::size_t room = room_of_row(shape);
  RowInHand<T> row{r, shape.n, buffer + room, buffer + 2 * room, buffer + room, buffer};
  if (shape.inner == 1 && storage_bytes(storage) == sizeof(T)) {
    row.x = static_cast<const T *>(x) + first;
    row.g = g == nullptr ? nullptr : static_cast<const T *>(g) + first;
    row.out = out == nullptr ? nullptr : static_cast<T *>(out) + first;
    return row;
  }
  load_numbers(x, storage, first, shape.inner, shape.n, buffer + room);
  if (g != nullptr) load_numbers(g, storage, first, shape.inner, shape.n, buffer + 2 * room);
  return row;
}

/// body(RowInHand) for every row, in parallel. x and g (or null) in `storage`; `out`, where not null, gets what body
/// wrote to its row. `buffers`: of a thread each, (3, room_of_row) of T. Nothing here depends on which thread takes a
/// row.
template <class T, class Body>
void for_each_row(const RowsShape &shape, Storage storage, const void *x, const void *g, void *out,
                  std::span<AlignedBuffer> buffers, const Body &body) {
  const bool copied = shape.inner > 1 || storage_bytes(storage) != sizeof(T);
  const int threads = static_cast<int>(buffers.size());
  // Neighbours in `inner` share cache lines, so they go to one thread; and a thread asks seldom.
  const std::int64_t together = std::max<std::int64_t>(64 / sizeof(T), 16384 / std::max<std::int64_t>(shape.n, 1));
  std::atomic<std::int64_t> next = 0;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (int thread = 0; thread < threads; ++thread)
    for (std::int64_t begin = next.fetch_add(together); begin < shape.rows(); begin = next.fetch_add(together))
      for (std::int64_t r = begin; r < std::min(shape.rows(), begin + together); ++r) {
        const RowInHand<T> row = take_row(shape, storage, x, g, out, r,
                                          reinterpret_cast<T *>(buffers[static_cast<std::size_t>(thread)].data()));
        body(row);
        if (!copied || out == nullptr) continue;
        store_numbers(row.out, shape.n, out, storage, r / shape.inner * shape.n * shape.inner + r % shape.inner,
                      shape.inner);
      }
}

/// The metrics of all rows from their outcomes, which are of this rank's entries; `group`: ranks over which rows are
/// split, or null. Collective there.
ThresholdMetrics collect_metrics(const std::vector<RowOutcome> &outcomes, const std::vector<double> &row_maximum,
                                 const std::vector<double> &alphas, bool monitor, const Communicator *group);

}  // namespace flashring
