#include "support/fake_device.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "flashring/check.hpp"
#include "flashring/row.hpp"

namespace flashring::test {
namespace {

struct Area {
  std::vector<std::uint64_t> memory;  // what the device has there
  std::size_t bytes = 0;
};

std::map<std::uintptr_t, Area> areas;  // by the address that the host is told
std::deque<std::function<void()>> queued;
const char *failure = nullptr;
std::size_t room = SIZE_MAX;

/// Where the device has what the host calls `address`.
template <class T>
T *there(T *address) {
  if (address == nullptr) return nullptr;
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  auto area = areas.upper_bound(at);
  FLASHRING_REQUIRE(area != areas.begin(), "no memory of the device");
  --area;
  const std::uintptr_t offset = at - area->first;
  FLASHRING_REQUIRE(offset <= area->second.bytes, "beyond the memory of the device");
  auto *begin = reinterpret_cast<std::byte *>(const_cast<std::uint64_t *>(area->second.memory.data()));
  return reinterpret_cast<T *>(begin + offset);
}

void run_queue() {
  for (; !queued.empty(); queued.pop_front()) queued.front()();
}

std::byte *allocate(std::size_t bytes) {
  if (fake_device_bytes() + bytes > room) return nullptr;
  void *address = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  // Full of what no number should be.
  areas[reinterpret_cast<std::uintptr_t>(address)] = {std::vector<std::uint64_t>(bytes / 8 + 1, ~std::uint64_t{0}),
                                                      bytes};
  return static_cast<std::byte *>(address);
}

void release(std::byte *data) {
  run_queue();
  const auto area = areas.find(reinterpret_cast<std::uintptr_t>(data));
  munmap(data, area->second.bytes);
  areas.erase(area);
}

void upload(std::byte *to, const std::byte *from, std::size_t bytes) {
  if (bytes > 0) queued.emplace_back([=] { std::memcpy(there(to), from, bytes); });
}

void download(std::byte *to, const std::byte *from, std::size_t bytes) {
  if (bytes > 0) queued.emplace_back([=] { std::memcpy(to, there(from), bytes); });
}

/// Calls `work(offset)` for the states of every tile.
void for_each_state(const TileShape &shape, std::int64_t tiles, const std::function<void(std::size_t)> &work) {
  const RowRule &rule = row_rule(shape.row);
  const auto bytes =
      static_cast<std::size_t>(rule.state_words(shape.pass, shape.columns) * fake_device().tile_rows) * 8;
  for (std::int64_t t = 0; t < tiles; ++t) work(static_cast<std::size_t>(t) * bytes);
}

void reset(const TileShape &shape, std::int64_t tiles, std::byte *state) {
  queued.emplace_back([=] {
    for_each_state(shape, tiles, [&](std::size_t at) {
      row_rule(shape.row).identity(shape.pass, shape.columns, static_cast<std::size_t>(fake_device().tile_rows),
                                   there(state) + at);
    });
  });
}

void merge(const TileShape &shape, std::int64_t tiles, std::byte *into, const std::byte *from) {
  queued.emplace_back([=] {
    for_each_state(shape, tiles, [&](std::size_t at) {
      row_rule(shape.row).merge(shape.pass, shape.columns, static_cast<std::size_t>(fake_device().tile_rows),
                                there(into) + at, there(from) + at);
    });
  });
}

TileSide there(const TileSide &side) {
  return {there(side.tiles), there(side.payload), there(side.pass_scalars), there(side.columns), there(side.state)};
}

void evaluate_now(const BlockCall &call) {
  const TileSide own = there(call.own);
  const TileSide visiting = there(call.visiting);
  const std::uint64_t *kept = there(call.kept);
  std::uint64_t *touched = there(call.touched);
  for (std::int32_t i = 0; i < call.own_tiles; ++i)
    for (std::int32_t j = 0; j < call.visiting_tiles; ++j) {
      const Visibility seen = visibility(call.shape.mask, own.tiles[i], visiting.tiles[j]);
      if (!is_due(call.pattern, i, j) || seen == Visibility::none || !is_kept(kept, call.visiting_tiles, i, j))
        continue;
      const bool diagonal = call.pattern == PairPattern::square && i == j;
      const TilePair pair{i, j, diagonal ? Sides::own : call.sides, seen == Visibility::some};
      std::uint8_t mark = 0;
      find_backend("ref").evaluate({call.shape, own, visiting, &pair, 1, nullptr, {}, &mark});
      if (touched != nullptr && mark != 0)
        touched[i * kept_words(call.visiting_tiles) + j / 64] |= std::uint64_t{1} << (j % 64);
    }
}

void evaluate(const BlockCall &call) {
  queued.emplace_back([=] { evaluate_now(call); });
}

void place(const RowMap &rows, Precision precision, int columns, int column, const double *values, double padding,
           std::byte *array) {
  queued.emplace_back([=] {
    const std::int64_t *offsets = there(rows.offsets);
    const double *scale = there(rows.scale);
    const double *from = there(values);
    const std::int64_t height = fake_device().tile_rows;
    for (std::int64_t t = 0; t < rows.tiles; ++t)
      for (std::int64_t i = 0; i < height; ++i) {
        const std::int64_t row = offsets[t] + i;
        double value = padding;
        if (row < offsets[t + 1]) value = scale == nullptr ? from[row] : from[row] * scale[row];
        const std::int64_t at = (t * columns + column) * height + i;
        if (precision == Precision::fp64)
          reinterpret_cast<double *>(there(array))[at] = value;
        else
          reinterpret_cast<float *>(there(array))[at] = static_cast<float>(value);
      }
  });
}

void take(const RowMap &rows, const TileShape &shape, int output, const std::byte *state, double *values) {
  queued.emplace_back([=] {
    const RowRule &rule = row_rule(shape.row);
    const auto height = static_cast<std::size_t>(fake_device().tile_rows);
    const std::int64_t *offsets = there(rows.offsets);
    const double *scale = there(rows.scale);
    std::vector<double> answers(static_cast<std::size_t>(rule.outputs(shape.columns)) * height);
    std::int64_t t = 0;
    for_each_state(shape, rows.tiles, [&](std::size_t at) {
      rule.finish(shape.columns, height, there(state) + at, answers.data());
      for (std::int64_t row = offsets[t]; row < offsets[t + 1]; ++row) {
        const std::size_t in_tile =
            static_cast<std::size_t>(output) * height + static_cast<std::size_t>(row - offsets[t]);
        there(values)[row] = answers[in_tile] * (scale == nullptr ? 1 : scale[row]);
      }
      ++t;
    });
  });
}

template <class Byte>
StoredRows<Byte> there(StoredRows<Byte> rows) {
  rows.data = there(rows.data);
  return rows;
}

/// Calls `visit(tile, rows in it, numbers)` with the numbers of a tile's rows, (rows, count).
void for_each_stored(const RowMap &rows, const StoredRows<const std::byte> &from, std::int32_t *wrong,
                     const std::function<void(std::int64_t, std::int64_t, const double *)> &visit) {
  const std::int64_t *offsets = there(rows.offsets);
  for (std::int64_t t = 0; t < rows.tiles; ++t) {
    const std::int64_t count = offsets[t + 1] - offsets[t];
    std::vector<double> numbers(static_cast<std::size_t>(count * from.count));
    for (std::int64_t i = 0; i < count; ++i)
      load_numbers(there(from.data), from.storage, (offsets[t] + i) * from.width + from.first, 1, from.count,
                   numbers.data() + i * from.count);
    if (wrong != nullptr)
      there(wrong)[t] = std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); }) ? 0 : 1;
    visit(t, count, numbers.data());
  }
}

void pack_stored(const RowMap &rows, const TileShape &shape, const StoredRows<const std::byte> &from, double scale,
                 std::int32_t *wrong, std::byte *payload) {
  queued.emplace_back([=] {
    const Backend &backend = fake_device();
    for_each_stored(rows, from, wrong, [&](std::int64_t t, std::int64_t count, const double *numbers) {
      backend.pack(shape, {numbers, count, nullptr, scale},
                   there(payload) + static_cast<std::size_t>(t) * backend.payload_bytes(shape));
    });
  });
}

void place_stored(const RowMap &rows, Precision precision, int columns, int column,
                  const StoredRows<const std::byte> &from, std::int32_t *wrong, std::byte *array) {
  queued.emplace_back([=] {
    const std::int64_t height = fake_device().tile_rows;
    for_each_stored(rows, from, wrong, [&](std::int64_t t, std::int64_t count, const double *numbers) {
      for (std::int64_t c = 0; c < from.count; ++c)
        for (std::int64_t i = 0; i < height; ++i) {
          const double value = i < count ? numbers[i * from.count + c] : 0;
          const std::int64_t at = (t * columns + column + c) * height + i;
          if (precision == Precision::fp64)
            reinterpret_cast<double *>(there(array))[at] = value;
          else
            reinterpret_cast<float *>(there(array))[at] = static_cast<float>(value);
        }
    });
  });
}

void take_stored(const RowMap &rows, const TileShape &shape, const StoredAnswers &answers, const std::byte *state,
                 const StoredRows<std::byte> &to) {
  queued.emplace_back([=] {
    const RowRule &rule = row_rule(shape.row);
    const auto height = static_cast<std::size_t>(fake_device().tile_rows);
    const std::int64_t *offsets = there(rows.offsets);
    std::vector<double> found(static_cast<std::size_t>(rule.outputs(shape.columns)) * height);
    std::int64_t t = 0;
    for_each_state(shape, rows.tiles, [&](std::size_t at) {
      rule.finish(shape.columns, height, there(state) + at, found.data());
      for (std::int64_t row = offsets[t]; row < offsets[t + 1]; ++row)
        for (int c = 0; c < to.count; ++c) {
          const double *of_row = found.data() + (row - offsets[t]);
          const auto answer = [&](int n) { return of_row[static_cast<std::size_t>(n) * height]; };
          const double divisor = answers.divisor < 0 ? 1 : answer(answers.divisor);
          const double value = divisor == 0 ? 0 : answer(answers.first + c) / divisor * answers.factor;
          store_numbers(&value, 1, there(to.data), to.storage, row * to.width + to.first + c, 1);
        }
      ++t;
    });
  });
}

void multiply_stored(const RowMap &rows, const StoredRows<const std::byte> &a, const StoredRows<const std::byte> &b,
                     double *products) {
  queued.emplace_back([=] {
    std::vector<double> of_a;
    for_each_stored(rows, a, nullptr, [&](std::int64_t /*t*/, std::int64_t count, const double *numbers) {
      of_a.insert(of_a.end(), numbers, numbers + count * a.count);
    });
    const double *x = of_a.data();
    double *to = there(products);
    for_each_stored(rows, b, nullptr, [&](std::int64_t /*t*/, std::int64_t count, const double *numbers) {
      for (std::int64_t i = 0; i < count; ++i, x += a.count)
        *to++ = std::inner_product(x, x + a.count, numbers + i * a.count, 0.0);
    });
  });
}

const char *finish() {
  run_queue();
  return std::exchange(failure, nullptr);
}

std::size_t free_bytes() { return room - fake_device_bytes(); }

void *queue() { return nullptr; }

const char *identity() { return "no device"; }

constexpr Device device = {allocate,        release, upload,     download,    reset,        merge,
                           evaluate,        place,   take,       pack_stored, place_stored, take_stored,
                           multiply_stored, finish,  free_bytes, queue,       identity,     2};

}  // namespace

const Backend &fake_device() {
  static const Backend backend = [] {
    Backend made = find_backend("ref");
    made.name = "device";
    made.evaluate = nullptr;
    made.device = &device;
    return made;
  }();
  return backend;
}

void set_fake_device_room(std::size_t bytes) { room = bytes; }

void fail_next_wait(const char *message) { failure = message; }

std::size_t fake_device_bytes() {
  std::size_t bytes = 0;
  for (const auto &[address, area] : areas) bytes += area.bytes;
  return bytes;
}

const Backend &backend_named(const std::string &name) { return name == "device" ? fake_device() : find_backend(name); }

}  // namespace flashring::test
