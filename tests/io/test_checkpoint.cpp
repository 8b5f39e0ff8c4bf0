// Checkpoints: what is read is what was written, on any partition; whatever is wrong with a file is found before any of
// it is used. The layout is read back by the C interface of HDF5.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "io/hdf5_reader.hpp"
#include "io/sample_checkpoint.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

namespace fs = std::filesystem;

TEST(Checkpoint, ComesBackOnEveryPartition) {
  for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{2}, rows_of_sample})
    for (const auto &[from, writers] : partitions(rows, world().size())) {
      const std::string file = scratch_folder("checkpoint_partitions") + "/run.h5";
      write_sample(world(), writers, file, 1);
      for (const auto &[to, readers] : partitions(rows, world().size())) {
        SCOPED_TRACE(std::to_string(rows) + " rows, from " + from + " to " + to);
        expect_sample(CheckpointReader(world(), file), readers, world().rank(), 1);
      }
      world().sum(1.0);
      EXPECT_EQ(names_in(fs::path(file).parent_path()), std::vector<std::string>{"run.h5"});
    }
}

/// The layout is the same from any number of ranks.
TEST(Checkpoint, GoesFromOneRankToAllAndBack) {
  const auto self = make_self_communicator();
  const RowPartition alone = RowPartition::contiguous(rows_of_sample, 1);
  const std::string folder = scratch_folder("checkpoint_ranks");
  if (world().rank() == 0) write_sample(*self, alone, folder + "/one.h5", 4);
  world().sum(1.0);
  expect_file(folder + "/one.h5", 4);
  write_sample(folder + "/all.h5", 4);
  if (world().rank() == 0) expect_sample(CheckpointReader(*self, folder + "/all.h5"), alone, 0, 4);
  EXPECT_EQ(fs::file_size(folder + "/all.h5"), fs::file_size(folder + "/one.h5"));
}

// 2,500 rows of 1,000 columns pass the 8 MiB buffer.
TEST(Checkpoint, PassesTheBuffer) {
  const RowPartition writers = RowPartition::contiguous(2500, world().size());
  const RowPartition readers = RowPartition::zigzag(2500, world().size());
  const std::string file = scratch_folder("checkpoint_long") + "/run.h5";
  const std::int64_t written = writers.local_rows(world().rank());
  const std::vector<double> basis = local_basis(writers, world().rank(), 1000, written, 2);
  write_checkpoint(world(), writers, file, {}, {{"basis", 1000, basis.data(), written}});
  const std::int64_t read = readers.local_rows(world().rank());
  std::vector<double> back(static_cast<std::size_t>(read * 1000));
  CheckpointReader(world(), file).read_array("basis", readers, back.data(), read);
  EXPECT_TRUE(back == local_basis(readers, world().rank(), 1000, read, 2));
}

TEST(Checkpoint, IsAPlainHdf5File) {
  const std::string file = scratch_folder("checkpoint_layout") + "/run.h5";
  write_sample(world(), RowPartition::zigzag(rows_of_sample, world().size()), file, 3);
  if (world().rank() != 0) return;
  const Dataset basis = read_dataset(file, "/basis");
  EXPECT_TRUE(basis.little_endian_double);
  EXPECT_EQ(basis.extents, (std::vector<hsize_t>{rows_of_sample, basis_columns}));
  for (std::int64_t i = 0; i < rows_of_sample; ++i)
    for (int c = 0; c < basis_columns; ++c)
      ASSERT_EQ(basis.values[static_cast<std::size_t>(i * basis_columns + c)], basis_value(i, c, 3));
  EXPECT_EQ(read_dataset(file, "/ritz_values").values, sample_state(3).arrays.at("ritz_values"));
  EXPECT_EQ(read_text_attribute(file, "/", "pair"), "gaussian");
  EXPECT_EQ(read_number_attribute(file, "passes"), 3);
  EXPECT_EQ(read_number_attribute(file, "tolerance"), 1e-9);
  EXPECT_EQ(read_file(file).substr(0, 37), "flashring checkpoint, format 1\nrows 2");
}

TEST(Checkpoint, SealHoldsLargeSizes) {
  CheckpointSeal seal;
  seal.rows = std::int64_t{1} << 40U;
  seal.bytes = std::numeric_limits<std::int64_t>::max();
  seal.rest = ~std::uint64_t{0};
  seal.regions = {{"basis", 350, std::int64_t{1} << 45U, 0x8000000000000000U}};
  EXPECT_EQ(std::ssize(seal_text(seal)), seal_bytes);
  EXPECT_NE(seal_text(seal).find("\nrows 1099511627776\nbytes 9223372036854775807\nrest ffffffffffffffff\n"
                                 "array basis 350 35184372088832 8000000000000000\nseal "),
            std::string::npos);
  seal.regions.assign(100, seal.regions[0]);
  expect_error(error_of([&] { seal_text(seal); }), {"100 arrays over rows are more than", "put several into one"});
}

/// Regions in any order, with bytes before, between and behind them.
TEST(Checkpoint, TheRestIsAllBytesOfNoRegion) {
  const std::string file = scratch_folder("checkpoint_rest") + "/bytes";
  if (world().rank() != 0) return;
  CheckpointSeal seal;
  seal.rows = 4;
  seal.bytes = seal_bytes + 200000;
  seal.regions = {{"b", 3, seal_bytes + 150001, 0}, {"nothing", 0, 0, 0}, {"a", 2, seal_bytes + 13, 0}};
  std::ofstream(file, std::ios::binary) << std::string(static_cast<std::size_t>(seal.bytes), 'x');
  const FileHandle handle(file, O_RDWR | O_CLOEXEC);
  const std::uint64_t rest = sum_of_rest(handle, seal);
  const auto changes = [&](std::int64_t at) {
    const std::string x = "x";
    const std::string y = "y";
    handle.write(std::as_bytes(std::span(y)), at);
    const bool changed = sum_of_rest(handle, seal) != rest;
    handle.write(std::as_bytes(std::span(x)), at);
    return changed;
  };
  const std::int64_t a = seal_bytes + 13;
  const std::int64_t b = seal_bytes + 150001;
  for (const std::int64_t at : {seal_bytes, a - 1, a + 64, a + 70000, b - 1, b + 96, seal.bytes - 1})
    EXPECT_TRUE(changes(at)) << "byte " << at;
  for (const std::int64_t at : {std::int64_t{0}, seal_bytes - 1, a, a + 63, b, b + 95})
    EXPECT_FALSE(changes(at)) << "byte " << at;
}

/// One bit of every third byte.
TEST(Checkpoint, EveryFlippedBitIsFound) {
  if (world().size() > 1) GTEST_SKIP() << "the layout is that of one rank, and one rank reads";
  const std::string file = scratch_folder("checkpoint_flips") + "/run.h5";
  write_sample(file, 1);
  const std::string whole = read_file(file);
  const FileHandle handle(file, O_WRONLY | O_CLOEXEC);
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    const auto byte = static_cast<std::byte>(whole[at]);
    const std::byte flipped = byte ^ (std::byte{1} << (at * 5 + at / 8) % 8);
    handle.write(std::span(&flipped, 1), static_cast<std::int64_t>(at));
    ASSERT_NE(refusal_of(world(), file), "no error") << "byte " << at;
    handle.write(std::span(&byte, 1), static_cast<std::int64_t>(at));
  }
  EXPECT_EQ(refusal_of(world(), file), "no error");
}

TEST(Checkpoint, EveryOtherLengthIsFound) {
  if (world().size() > 1) GTEST_SKIP() << "the layout is that of one rank, and one rank reads";
  const std::string file = scratch_folder("checkpoint_cuts") + "/run.h5";
  write_sample(file, 1);
  const std::uintmax_t size = fs::file_size(file);
  std::ofstream(file, std::ios::binary | std::ios::app) << '\n';
  EXPECT_NE(refusal_of(world(), file).find("it was cut off or changed"), std::string::npos);
  for (std::uintmax_t length = size - 1; length > 0; length -= std::min<std::uintmax_t>(length, length < 50 ? 1 : 41)) {
    fs::resize_file(file, length);
    ASSERT_NE(refusal_of(world(), file), "no error") << length << " bytes";
  }
}

/// In the rows of any rank: the same words on every rank.
TEST(Checkpoint, DamagedRowsAreSaidByAllRanks) {
  const std::string file = scratch_folder("checkpoint_rows") + "/run.h5";
  for (const std::int64_t row : {std::int64_t{0}, rows_of_sample / 2, rows_of_sample - 1}) {
    write_sample(file, 1);
    const double value = basis_value(row, 2, 1);
    std::string pattern(sizeof(value), '\0');
    std::memcpy(pattern.data(), &value, sizeof(value));
    std::string bytes = read_file(file);
    const std::size_t at = bytes.find(pattern);
    ASSERT_NE(at, std::string::npos);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    world().sum(1.0);  // all ranks have read
    write_file(file, bytes);
    write_file(file + ".previous", "");
    expect_error(refusal_of(world(), file),
                 {file + ": is damaged: array basis does not agree with its checksum", "take an earlier checkpoint",
                  "; nor can " + file + ".previous be taken: rank 0: ", "is empty"});
  }
}

/// The file is checked when it is opened; what changes afterwards is found as well.
TEST(Checkpoint, RowsAreCheckedAgainAsTheyAreRead) {
  const std::string file = scratch_folder("checkpoint_later") + "/run.h5";
  const RowPartition partition = RowPartition::contiguous(rows_of_sample, world().size());
  write_sample(file, 1);
  const CheckpointReader reader(world(), file);
  std::string bytes = read_file(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 4);
  world().sum(1.0);
  write_file(file, bytes);
  std::vector<double> values(static_cast<std::size_t>(rows_of_sample * basis_columns));
  expect_error(error_of([&] {
                 for (const char *name : {"basis", "odd"})
                   reader.read_array(name, partition, values.data(), rows_of_sample);
               }),
               {"does not agree with its checksum"});
}

TEST(Checkpoint, OtherFilesAreRefusedByName) {
  const std::string folder = scratch_folder("checkpoint_foreign");
  const std::string file = folder + "/file";
  const auto refused = [&](const std::string &bytes, const std::string &words) {
    write_file(file, bytes);
    expect_error(refusal_of(world(), file), {"rank 0: " + file + ": " + words});
  };
  refused("", "is empty");
  refused("1,2,3\n4,5,6\n", "is not a checkpoint (it does not begin with");
  refused("\x89HDF\r\n\x1a\n" + std::string(5000, '\0'), "is an HDF5 file, but not a checkpoint");
  refused(std::string(100000, '\0'), "is not complete (it begins with zeros)");
  refused("flashring checkpoint, format 2\nwhatever",
          "is a checkpoint of format 2, and formats up to 1 are known here");
  refused("flashring checkpoint, format 1\nrows 5\n", "is damaged: its first 4096 bytes");
  refused("flashring checkpoint, format x\n", "is damaged: its first 4096 bytes");
  expect_error(refusal_of(world(), folder), {folder + ": is a folder, not a file"});
  expect_error(refusal_of(world(), folder + "/none"), {folder + "/none: cannot be opened (No such file"});
}

TEST(Checkpoint, UnknownArraysAndOtherSizesAreRefused) {
  const std::string file = scratch_folder("checkpoint_other") + "/run.h5";
  write_sample(file, 1);
  const CheckpointReader reader(world(), file);
  const RowPartition partition = RowPartition::contiguous(rows_of_sample, world().size());
  const RowPartition longer = RowPartition::contiguous(rows_of_sample + 1, world().size());
  std::vector<double> values(static_cast<std::size_t>(rows_of_sample + 1) * basis_columns);
  const auto read = [&](const char *name, const RowPartition &rows) {
    return error_of([&] { reader.read_array(name, rows, values.data(), rows_of_sample + 1); });
  };
  expect_error(read("vectors", partition), {file + ": holds no array vectors"});
  expect_error(read("basis", longer), {file + ": is of 211 rows, not of 212"});
}

TEST(Checkpoint, NamesDifferencesOfIdentity) {
  using Words = CheckpointState::Words;
  const Words here = {{"points", "B"}, {"pair", "gaussian"}, {"alpha", "0.5"}, {"nev", "10"}};
  EXPECT_EQ(identity_differences("run.h5", here, here), "");
  EXPECT_EQ(identity_differences("run.h5", {here.rbegin(), here.rend()}, here), "");
  Words stored = here;
  stored[0].second = "A";
  EXPECT_EQ(identity_differences("run.h5", stored, here), "points: A in run.h5, B here");
  stored.erase(stored.begin() + 1);
  stored.emplace_back("time", "2");
  EXPECT_EQ(identity_differences("run.h5", stored, here),
            "points: A in run.h5, B here; pair: nothing in run.h5, gaussian here; time: 2 in run.h5, nothing here");
  EXPECT_EQ(identity_differences("run.h5", {}, here),
            "points: nothing in run.h5, B here; pair: nothing in run.h5, gaussian here; alpha: nothing in run.h5, 0.5 "
            "here; and 1 more");
}

}  // namespace
}  // namespace flashring::test
