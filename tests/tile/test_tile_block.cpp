// TileBlock: one precision after the other from the same tiles, on the host and on a device; memory of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/pages.hpp"
#include "flashring/check.hpp"
#include "flashring/tile_block.hpp"
#include "support/error_of.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "tile/host_arrays.hpp"

namespace flashring::test {
namespace {

std::vector<std::byte> payload_of(TileBlock &block) {
  const std::size_t bytes = block.payload().size();
  BufferReader reader(block.payload(), bytes);
  const std::byte *data = reader.next();
  return {data, data + bytes};
}

TileShape shape_in(Precision precision) {
  return {parse_pair("gaussian:beta=0.7"), RowKind::sum, 0, precision, 5, 1, {}};
}

TEST(TileBlock, PrecisionsComeFromTheSamePoints) {
  const PointSet points = random_points(1000, 5, 61);
  const RowPartition rows = RowPartition::contiguous(1000, 1);
  const std::vector<double> mean = random_numbers(5, 62);
  for (const char *name : {"ref", "simd", "device"}) {
    SCOPED_TRACE(name);
    const Backend &backend = backend_named(name);
    TileBlock block(backend, shape_in(Precision::fp64), PointBlock(rows, 0, 5, points.rows), mean);
    const std::vector<std::byte> wide = payload_of(block);
    block.set_precision(shape_in(Precision::fp32));
    EXPECT_EQ(block.precision(), Precision::fp32);
    const std::vector<std::byte> narrow = payload_of(block);
    EXPECT_EQ(narrow.size(), block.tiles().size() * backend.payload_bytes(shape_in(Precision::fp32)));
    block.set_precision(shape_in(Precision::fp64));
    EXPECT_EQ(payload_of(block), wide);
    block.set_precision(shape_in(Precision::fp32));
    EXPECT_EQ(payload_of(block), narrow);
    block.replace_points(shape_in(Precision::fp64), PointBlock(rows, 0, 5, random_points(1000, 5, 63).rows), mean);
    EXPECT_EQ(block.precision(), Precision::fp64);
    EXPECT_NE(payload_of(block), wide);
  }
}

TEST(TileBlock, UnpackedRowsPackToTheSamePoints) {
  const PointSet points = random_points(1000, 5, 66);
  const RowPartition rows = RowPartition::contiguous(1000, 1);
  const TileShape shape = shape_in(Precision::fp64);
  const double scale = feature_scale(shape.pair);
  const std::vector<double> mean = random_numbers(5, 67);
  std::vector<LocalRow> every;
  for (std::int64_t i = 0; i < 1000; ++i) every.push_back({i});
  for (const char *name : {"ref", "simd", "device"})
    for (const PointsMemory memory : {PointsMemory::device, PointsMemory::host}) {
      SCOPED_TRACE(name);
      const Backend &backend = backend_named(name);
      TileBlock block(backend, shape, PointBlock(rows, 0, 5, points.rows), mean, memory);
      const std::vector<double> unpacked = block.unpack(shape, every);
      ASSERT_EQ(unpacked.size(), 5000U);
      for (std::size_t at = 0; at < 5000; ++at)  // a difference and a product, both rounded: the sum is below 2
        EXPECT_NEAR(unpacked[at], (points.rows[at] - mean[at % 5]) * scale, 4 * 0x1p-53 * scale) << at;
      TileBlock again = TileBlock::repack(backend, shape, PointBlock(rows, 0, 5, unpacked), memory);
      EXPECT_EQ(payload_of(again), payload_of(block));
      const std::vector<double> some = block.unpack(shape, std::vector<LocalRow>{{999}, {0}, {257}});
      EXPECT_EQ(some,
                (std::vector<double>{unpacked[4995], unpacked[4996], unpacked[4997], unpacked[4998], unpacked[4999],
                                     unpacked[0], unpacked[1], unpacked[2], unpacked[3], unpacked[4], unpacked[1285],
                                     unpacked[1286], unpacked[1287], unpacked[1288], unpacked[1289]}));
      EXPECT_TRUE(block.unpack(shape, {}).empty());
    }
}

TEST(TileBlock, PointsPackedInOnePrecisionStayInIt) {
  const PointBlock points(RowPartition::contiguous(10, 1), 0, 5, random_points(10, 5, 64).rows);
  TileBlock block(find_backend("simd"), shape_in(Precision::fp32), points, {});
  EXPECT_THROW(block.set_precision(shape_in(Precision::fp64)), Error);
  EXPECT_EQ(block.precision(), Precision::fp32);
}

TEST(TileBlock, APrecisionWithoutRoomLeavesTheOther) {
  const PointSet points = random_points(1000, 5, 65);
  TileBlock block(fake_device(), shape_in(Precision::fp64),
                  PointBlock(RowPartition::contiguous(1000, 1), 0, 5, points.rows), {});
  const std::vector<std::byte> wide = payload_of(block);
  set_fake_device_room(fake_device_bytes() + 100);
  try {
    block.set_precision(shape_in(Precision::fp32));
    ADD_FAILURE() << "no error";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("out of memory of the GPU"), std::string::npos) << error.what();
  }
  EXPECT_EQ(block.precision(), Precision::fp64);
  EXPECT_EQ(payload_of(block), wide);
  set_fake_device_room(SIZE_MAX);
  block.set_precision(shape_in(Precision::fp32));
  EXPECT_EQ(block.precision(), Precision::fp32);
}

TEST(TileBlock, AGpuWithoutRoomSaysWhatWouldFit) {
  AlignedBuffer held(fake_device().device);
  held.resize(3000);
  set_fake_device_room(fake_device_bytes() + 1000);
  AlignedBuffer wanted(fake_device().device);
  std::string words;
  try {
    wanted.resize(5000);
  } catch (const Error &error) {
    words = error.what();
  }
  set_fake_device_room(SIZE_MAX);
  for (const char *word : {"5000 bytes", "1000 are free", "at most 50% of the rows", "on 2 times as many GPUs"})
    EXPECT_NE(words.find(word), std::string::npos) << word << "\n" << words;
}

TEST(Pages, NeighboursOfReleasedOnesStay) {
  constexpr std::size_t bytes = 9000000;  // huge pages, and not a whole number of pages
  std::byte *data = map_pages(bytes);
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 128, 0U);
  std::memset(data, 7, bytes);
  for (const auto &[begin, end] : {std::pair<std::size_t, std::size_t>{100, 3000},  // no whole page
                                   {4097, 4096 * 30 + 5},
                                   {8000000, bytes}}) {
    release_pages(data + begin, end - begin);
    EXPECT_EQ(data[begin - 1], std::byte{7});
    EXPECT_EQ(data[begin], std::byte{7}) << "the page of " << begin << " has other bytes too";
    EXPECT_EQ(data[end < bytes ? end : 0], std::byte{7});
  }
  unmap_pages(data, bytes);
}

TEST(Buffers, ArriveWhateverTheirSize) {
  for (const Device *device : {static_cast<const Device *>(nullptr), fake_device().device})
    for (const std::size_t pieces : {0U, 1U, 5U, 3000U}) {
      constexpr std::size_t piece = 9001;  // 3000 of them fill the staging memory more than once
      AlignedBuffer buffer(device);
      buffer.resize(pieces * piece);
      BufferWriter writer(buffer, piece);
      for (std::size_t p = 0; p < pieces; ++p) std::memset(writer.next(), static_cast<int>(p % 251), piece);
      writer.finish();
      BufferReader reader(buffer, piece);
      std::size_t wrong = 0;
      for (std::size_t p = 0; p < pieces; ++p) {
        const std::byte *data = reader.next();
        for (const std::size_t at : {std::size_t{0}, piece / 2, piece - 1})
          wrong += data[at] != static_cast<std::byte>(p % 251) ? 1 : 0;
      }
      for (std::size_t p = 0, some = 0; p < pieces; p += some) {
        some = reader.bring(p, pieces - p);
        ASSERT_TRUE(some > 0 && some <= pieces - p);
        for (std::size_t q = p; q < p + some; ++q) wrong += *reader.piece(q) != static_cast<std::byte>(q % 251) ? 1 : 0;
      }
      EXPECT_EQ(wrong, 0U) << pieces;
    }
}

/// Of the host they are the caller's own, of a device copies, and results go there when they are given.
TEST(HostArrays, AreReadAndWrittenWhereTheyLie) {
  std::vector<std::byte> numbers(1000, std::byte{7});
  HostArrays of_host(nullptr);
  EXPECT_EQ(of_host.in(numbers.data(), 1000), numbers.data());
  EXPECT_EQ(of_host.out(numbers.data(), 1000), numbers.data());
  of_host.give();
  EXPECT_EQ(of_host.bytes_copied(), 0);

  const Device *device = fake_device().device;
  AlignedBuffer there(device);
  there.resize(1000);
  device->upload(there.data(), numbers.data(), 1000);
  HostArrays of_device(device);
  EXPECT_EQ(std::memcmp(of_device.in(there.data(), 1000), numbers.data(), 1000), 0);
  std::memset(of_device.out(there.data(), 500), 9, 500);
  of_device.give();
  EXPECT_EQ(of_device.bytes_copied(), 1500);
  device->download(numbers.data(), there.data(), 1000);
  wait_for(device);
  EXPECT_EQ(numbers[499], std::byte{9});
  EXPECT_EQ(numbers[500], std::byte{7});
  EXPECT_NE(error_of([&] {
              fail_next_wait("it burns");
              of_device.in(there.data(), 1);
            }).find("it burns"),
            std::string::npos);
}

TEST(TileBlock, AScaleIsSentOnceAndVectorsOfTheDeviceNever) {
  const Backend &backend = fake_device();
  const PointSet points = random_points(1000, 5, 66);
  TileBlock block(backend, shape_in(Precision::fp64), PointBlock(RowPartition::contiguous(1000, 1), 0, 5, points.rows),
                  {});
  constexpr std::uint64_t vector = 8000;
  const std::vector<double> x = random_numbers(2000, 67);
  std::vector<double> scale = random_numbers(1000, 68);
  const auto columns = [&] {
    BufferReader reader(block.columns(), block.columns().size());
    const std::byte *data = reader.next();
    return std::vector<std::byte>(data, data + block.columns().size());
  };
  block.set_columns({x.data(), 1000, 2, scale, 1});
  const std::vector<std::byte> first = columns();
  EXPECT_EQ(block.bytes_copied(), 3 * vector);
  block.set_columns({x.data(), 1000, 2, scale, 1});
  EXPECT_EQ(block.bytes_copied(), 5 * vector);
  EXPECT_EQ(columns(), first);
  AlignedBuffer there(backend.device);
  there.resize(2 * vector);
  backend.device->upload(there.data(), reinterpret_cast<const std::byte *>(x.data()), 2 * vector);
  block.set_columns({reinterpret_cast<const double *>(there.data()), 1000, 2, scale, 1, true});
  EXPECT_EQ(block.bytes_copied(), 5 * vector);
  EXPECT_EQ(columns(), first);
  scale[3] = 7;
  block.set_columns({x.data(), 1000, 2, scale, 2});
  EXPECT_EQ(block.bytes_copied(), 8 * vector);
  EXPECT_NE(columns(), first);
}

TEST(TileBlock, AnswersAreScaledOnTheirWayOut) {
  for (const char *name : {"ref", "device"}) {
    const Backend &backend = backend_named(name);
    TileBlock block(backend, shape_in(Precision::fp64),
                    PointBlock(RowPartition::contiguous(300, 1), 0, 5, random_points(300, 5, 69).rows), {});
    block.state().resize(block.tiles().size() * state_bytes(backend, shape_in(Precision::fp64)));
    const std::vector<double> state = random_numbers(block.state().size() / 8, 70);
    BufferWriter writer(block.state(), block.state().size());
    std::memcpy(writer.next(), state.data(), block.state().size());
    writer.finish();
    const std::vector<double> scale = random_numbers(300, 71);
    std::vector<double> plain(300);
    std::vector<double> scaled(300);
    block.finish(RowKind::sum, 1, {plain.data(), 300, 1});
    block.finish(RowKind::sum, 1, {scaled.data(), 300, 1, scale});
    for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(scaled[i], plain[i] * scale[i]) << name << " " << i;
    EXPECT_EQ(plain[299], state[299]) << name;
  }
}

TEST(TileBlock, AnswersComeToAllThreads) {
  constexpr int columns = 300;  // 9000 rows of them are more than a device gives at a time
  for (const char *name : {"ref", "device"}) {
    const Backend &backend = backend_named(name);
    TileBlock block(backend, shape_in(Precision::fp64),
                    PointBlock(RowPartition::contiguous(9000, 1), 0, 5, random_points(9000, 5, 72).rows), {});
    const std::size_t last = static_cast<std::size_t>(block.tile_rows()) * (columns - 1);
    std::vector<double> state(static_cast<std::size_t>(block.tile_rows()) * columns);  // (columns, T)
    block.state().resize(block.tiles().size() * state.size() * 8);
    BufferWriter writer(block.state(), state.size() * 8);
    for (const TileInfo &tile : block.tiles()) {
      for (int i = 0; i < tile.rows; ++i)
        state[last + static_cast<std::size_t>(i)] = static_cast<double>(tile.first.value + i);
      std::memcpy(writer.next(), state.data(), state.size() * 8);
    }
    writer.finish();
    std::vector<double> found(9000, -1);
    block.finish(
        RowKind::sum, columns,
        [&](LocalRow first, std::int64_t count, const double *answers, std::int64_t stride) {
          std::copy_n(answers + stride * (columns - 1), count, found.begin() + first.value);
        },
        3);
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], static_cast<double>(i)) << name;
  }
}

}  // namespace
}  // namespace flashring::test
