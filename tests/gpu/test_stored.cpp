// Rows of a caller's arrays on a device: payloads, columns, answers and products to the bit as they are when the host
// packs and finishes, in every storage; several sequences, ranges of rows and ragged tiles.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "flashring/storage.hpp"
#include "flashring/tile_block.hpp"
#include "gpu/blocks.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

constexpr std::int64_t rows = 300;  // of this rank, in two ranges, of each of two sequences
constexpr std::int64_t all_rows = 2 * rows;
constexpr std::int64_t width = 43;
constexpr std::array storages = {Storage::fp64, Storage::fp32, Storage::bf16, Storage::fp16};

std::vector<std::byte> bytes_of(const AlignedBuffer &buffer) {
  BufferReader reader(buffer, buffer.size());
  const std::byte *bytes = reader.next();
  return {bytes, bytes + buffer.size()};
}

void fill(AlignedBuffer &buffer, const void *from, std::size_t bytes) {
  buffer.resize(bytes);
  BufferWriter writer(buffer, bytes);
  std::memcpy(writer.next(), from, bytes);
  writer.finish();
}

/// (all_rows, width) random numbers on the host and on the device.
struct Array {
  Array(const Device *device, Storage kind, std::uint64_t seed)
      : storage(kind), host(static_cast<std::size_t>(all_rows * width) * storage_bytes(kind)), there(device) {
    const std::vector<double> drawn = random_numbers(static_cast<std::size_t>(all_rows * width), run_seed() + seed);
    store_numbers(drawn.data(), all_rows * width, host.data(), storage, 0, 1);
    fill(there, host.data(), host.size());
  }
  StoredRows<const std::byte> part(int first, int count) const { return {there.data(), storage, width, first, count}; }
  void read(int first, int count, LocalRow row, std::int64_t some, double *to) const {
    for (std::int64_t i = row.value; i < row.value + some; ++i, to += count)
      load_numbers(host.data(), storage, i * width + first, 1, count, to);
  }
  Storage storage;
  std::vector<std::byte> host;
  AlignedBuffer there;
};

class Stored : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr int features = 20;
  const Backend &backend_ = backend_named(GetParam());
  RowPartition partition_ = RowPartition::zigzag(3 * rows, 3);

  static TileShape shape(RowKind row, Precision precision) {
    return {{PairKind::inner_exp, {0.4, 0}}, row, 0, precision, features, features + 1, {}};
  }
  static StoredPart part_of(const Array &array, int first, int count) {
    return {array.part(first, count), [](LocalRow row, std::int64_t some) {
              throw std::out_of_range(std::to_string(row.value) + " " + std::to_string(some));
            }};
  }
  TileBlock from_host(const TileShape &of, const Array &array, int first) const {
    return {
        backend_,     of,
        partition_,   1,
        Sequences{2}, [&](LocalRow row, std::int64_t some, double *to) { array.read(first, features, row, some, to); }};
  }
  TileBlock from_device(const TileShape &of, const Array &array, int first) const {
    return {backend_, of, partition_, 1, Sequences{2}, part_of(array, first, features)};
  }
};

TEST_P(Stored, PayloadsAndColumns) {
  for (const Storage storage : storages)
    for (const RowKind row : {RowKind::logsumexp, RowKind::softmax_gradient})
      for (const Precision precision : all_precisions) {
        const TileShape of = shape(row, precision);
        SCOPED_TRACE(name_of(of) + " " + std::string(storage_name(storage)));
        const Array a(backend_.device, storage, 1);
        const Array b(backend_.device, Storage::fp32, 2);
        TileBlock expected = from_host(of, a, 3);
        TileBlock found = from_device(of, a, 3);
        EXPECT_EQ(bytes_of(found.payload()), bytes_of(expected.payload()));
        expected.set_columns(21, [&](LocalRow first, std::int64_t some, double *to) {
          for (std::int64_t i = 0; i < some; ++i, to += 21) {
            a.read(22, 17, LocalRow{first.value + i}, 1, to);
            b.read(0, 4, LocalRow{first.value + i}, 1, to + 17);
          }
        });
        found.set_columns(std::vector<StoredPart>{part_of(a, 22, 17), part_of(b, 0, 4)});
        EXPECT_EQ(bytes_of(found.columns()), bytes_of(expected.columns()));
        EXPECT_EQ(found.bytes_copied(), 0);
      }
}

TEST_P(Stored, AnswersAndProducts) {
  for (const Storage storage : storages) {
    SCOPED_TRACE(storage_name(storage));
    const TileShape of = shape(RowKind::logsumexp, Precision::fp32);
    Array a(backend_.device, storage, 3);
    const Array b(backend_.device, Storage::fp32, 4);
    TileBlock block = from_device(of, b, 0);
    const std::size_t state = block.tiles().size() * state_bytes(backend_, of);
    std::vector<double> numbers = random_numbers(state / 8, run_seed() + 5);
    for (std::size_t i = 0; i < numbers.size(); i += 5) numbers[i] = 0;  // rows that saw nothing
    fill(block.state(), numbers.data(), state);
    block.finish(of.row, of.columns, StoredAnswers{2, 1, 0.7}, {a.there.data(), storage, width, 5, 20});
    block.finish(of.row, of.columns, [&](LocalRow first, std::int64_t some, const double *found, std::int64_t stride) {
      for (std::int64_t i = 0; i < some; ++i)
        for (int c = 0; c < 20; ++c) {
          const double divisor = found[stride + i];
          const double value = divisor == 0 ? 0 : found[(2 + c) * stride + i] / divisor * 0.7;
          store_numbers(&value, 1, a.host.data(), storage, (first.value + i) * width + 5 + c, 1);
        }
    });
    EXPECT_EQ(bytes_of(a.there), a.host);
    const std::vector<double> products = block.row_products(a.part(6, 19), b.part(1, 19));
    for (std::int64_t i = 0; i < all_rows; ++i) {
      std::vector<double> x(19);
      std::vector<double> y(19);
      a.read(6, 19, LocalRow{i}, 1, x.data());
      b.read(1, 19, LocalRow{i}, 1, y.data());
      double sum = 0;
      for (std::size_t c = 0; c < 19; ++c) sum += x[c] * y[c];
      ASSERT_EQ(products[static_cast<std::size_t>(i)], sum) << i;
    }
  }
}

TEST_P(Stored, TilesWithANumberThatIsNotFinite) {
  for (const RowKind row : {RowKind::logsumexp, RowKind::softmax_gradient}) {
    Array a(backend_.device, Storage::bf16, 6);
    const double bad = std::numeric_limits<double>::quiet_NaN();
    store_numbers(&bad, 1, a.host.data(), a.storage, (rows + 151) * width + 22, 1);
    fill(a.there, a.host.data(), a.host.size());
    EXPECT_NO_THROW(from_device(shape(row, Precision::fp32), a, 0));
    try {
      from_device(shape(row, Precision::fp32), a, 3);
      ADD_FAILURE() << "nobody was told";
    } catch (const std::out_of_range &told) {  // the first tile of the second range of the second sequence
      EXPECT_EQ(std::string(told.what()).substr(0, 4), "450 ");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Small, Stored, ::testing::ValuesIn(device_names()),
                         [](const auto &param) { return test_name(param.param); });

}  // namespace
}  // namespace flashring::test
