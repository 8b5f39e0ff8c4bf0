// Arrays of attention: every rank reads its own rows of every head from NPY and HDF5, and writes them back; masks,
// generated numbers, and everything that does not fit. Files are made byte by byte.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "flashring/attention_files.hpp"
#include "flashring/attention_results.hpp"
#include "flashring/random.hpp"
#include "io/hdf5_writer.hpp"
#include "io/io_support.hpp"
#include "io/npy_bytes.hpp"
#include "support/world.hpp"

namespace flashring {
namespace {

using namespace test;

constexpr std::array<Storage, 4> storages{Storage::fp64, Storage::fp32, Storage::bf16, Storage::fp16};

const char *descr_of(Storage storage) {
  if (storage == Storage::bf16) return "<V2";
  return storage == Storage::fp64 ? "<f8" : storage == Storage::fp32 ? "<f4" : "<f2";
}

/// Bytes of `count` different finite numbers: value i has the bits 0x0101 + i (0x3F800000 + i, ...).
std::string numbered_bytes(Storage storage, std::int64_t count) {
  std::string bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    if (storage == Storage::fp64)
      bytes += number_bytes(std::uint64_t{0x3FF0000000000000U} + static_cast<std::uint64_t>(i), false);
    else if (storage == Storage::fp32)
      bytes += number_bytes(std::uint32_t{0x3F800000U} + static_cast<std::uint32_t>(i), false);
    else
      bytes += number_bytes(static_cast<std::uint16_t>(0x0101 + i), false);
  }
  return bytes;
}

/// What this rank has to read of an array (entries, rows, width) of that many bytes a number.
std::string rows_of(const std::string &all, std::int64_t entries, const RowPartition &partition,
                    std::int64_t row_bytes) {
  std::string mine;
  for (std::int64_t entry = 0; entry < entries; ++entry)
    for (std::int64_t i = 0; i < partition.local_rows(world().rank()); ++i) {
      const std::int64_t row = partition.global_row(world().rank(), LocalRow{i}).value;
      mine += all.substr(static_cast<std::size_t>((entry * partition.rows() + row) * row_bytes),
                         static_cast<std::size_t>(row_bytes));
    }
  return mine;
}

std::string text_of(const std::vector<std::byte> &bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::string shape_words(const std::vector<std::int64_t> &axes) {
  std::string text = "(";
  for (const std::int64_t extent : axes) text += std::to_string(extent) + ", ";
  return text + ")";
}

// Rows fewer than, equal to and more than ranks; contiguous and zigzag; 2 to 4 axes.
TEST(AttentionFiles, EveryRankReadsItsRowsOfEveryHead) {
  const std::string folder = scratch_folder("attention_read");
  for (const Storage storage : storages)
    for (const std::vector<std::int64_t> &axes :
         std::vector<std::vector<std::int64_t>>{{2, 3, 11, 2}, {3, 4, 5}, {1, 1}, {23, 3}}) {
      SCOPED_TRACE(std::string(storage_name(storage)) + shape_words(axes));
      std::int64_t count = 1;
      for (const std::int64_t extent : axes) count *= extent;
      const std::string data = numbered_bytes(storage, count);
      write_file(folder + "/q.npy", with_header(dictionary(descr_of(storage), false, shape_words(axes)), data));
      const InputArray array = open_heads("-q", folder + "/q.npy", false, world());
      EXPECT_EQ(array.axes, axes);
      EXPECT_EQ(array.storage, storage);
      const std::int64_t rows = array.from_end(2);
      for (const RowPartition &partition :
           {RowPartition::contiguous(rows, world().size()), RowPartition::zigzag(rows, world().size())}) {
        const auto row_bytes = static_cast<std::int64_t>(storage_bytes(storage)) * axes.back();
        EXPECT_EQ(text_of(read_rows(array, partition, false, world())),
                  rows_of(data, count / rows / axes.back(), partition, row_bytes));
      }
    }
}

// Other byte order, 16-bit integers by request, h5py's way to store bfloat16 and float16, chunks and compression.
TEST(AttentionFiles, OtherWritersGiveTheSameBits) {
  const std::string folder = scratch_folder("attention_writers");
  const std::string data = numbered_bytes(Storage::bf16, 24);
  const RowPartition partition = RowPartition::contiguous(6, world().size());
  const std::string expected = rows_of(data, 2, partition, 4);
  std::string swapped = data;
  for (std::size_t i = 0; i < swapped.size(); i += 2) std::swap(swapped[i], swapped[i + 1]);
  const auto read = [&](const std::string &file, bool words, Storage storage) {
    const InputArray array = open_heads("-k", folder + "/" + file, words, world());
    EXPECT_EQ(array.storage, storage) << file;
    EXPECT_EQ(text_of(read_rows(array, partition, false, world())), expected) << file;
  };
  write_file(folder + "/big.npy", with_header(dictionary(">f2", false, "(2, 6, 2)"), swapped));
  read("big.npy", false, Storage::fp16);
  write_file(folder + "/words.npy", with_header(dictionary("<u2", false, "(2, 6, 2)"), data));
  read("words.npy", true, Storage::bf16);
  if (world().rank() == 0) {
    const Hdf5Writer file(folder + "/k.h5");
    const hid_t half = H5Tcopy(H5T_NATIVE_FLOAT);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    const hid_t bytes = H5Tcreate(H5T_OPAQUE, 2);
    H5Tset_tag(bytes, "");
    const hid_t big = H5Tcopy(half);
    H5Tset_order(big, H5T_ORDER_BE);
    file.dataset("half", half, half, {2, 6, 2}, data.data(), {1, 4, 2}, 4);
    file.dataset("big", big, half, {2, 6, 2}, data.data());
    file.dataset("brain", bytes, bytes, {2, 6, 2}, data.data());
    file.dataset("words", H5T_NATIVE_UINT16, H5T_NATIVE_UINT16, {2, 6, 2}, data.data(), {2, 6, 1});
    H5Tclose(half);
    H5Tclose(bytes);
    H5Tclose(big);
  }
  world().sum(1.0);
  read("k.h5:/half", false, Storage::fp16);
  read("k.h5:big", false, Storage::fp16);
  read("k.h5:/brain", false, Storage::bf16);
  read("k.h5:/words", true, Storage::bf16);
}

TEST(AttentionFiles, WhatIsWrittenIsReadAgain) {
  const std::string folder = scratch_folder("attention_round");
  const std::vector<std::int64_t> axes{2, 3, 11, 2};
  const RowPartition partition = RowPartition::zigzag(11, world().size());
  for (const Storage storage : storages) {
    const std::string data = numbered_bytes(storage, 132);
    const std::string mine = rows_of(data, 6, partition, 2 * static_cast<std::int64_t>(storage_bytes(storage)));
    const ResultArray array{"o.npy", axes, 2, storage, std::as_bytes(std::span(mine)), partition};
    AttentionFacts facts;
    facts.shape = {2, 3, 3, 11, 11, 2, 2};
    facts.storage = storage;
    facts.forward_seconds = {3, 1, 2};
    RunFolder out(world(), folder + "/out", true);
    write_attention(world(), out, {array}, facts, {});
    const InputArray again = open_heads("-q", folder + "/out/o.npy", false, world());
    EXPECT_EQ(again.axes, axes);
    EXPECT_EQ(again.storage, storage);
    EXPECT_EQ(text_of(read_rows(again, partition, false, world())), mine) << storage_name(storage);
    const std::string file = read_file(folder + "/out/o.npy");
    EXPECT_EQ(file.substr(128), data);
    EXPECT_NE(file.find(dictionary(descr_of(storage), false, "(2, 3, 11, 2)")), std::string::npos)
        << file.substr(0, 99);
    const auto report = nlohmann::json::parse(read_file(folder + "/out/report.json"));
    EXPECT_EQ(report["forward"]["seconds"], 2);
    EXPECT_DOUBLE_EQ(report["forward"]["gflops"], 1e-9 * 2 * 2 * 3 * 11 * 11 * 4 / 2);
    EXPECT_EQ(report["storage"], storage_name(storage));
    world().sum(1.0);
  }
}

TEST(AttentionFiles, GeneratedNumbersDoNotDependOnRanks) {
  AttentionFiles files;
  files.generate = "normal:b=2,h=4,h_kv=2,n=9,n_k=7,d=3,d_v=5,seed=7,storage=fp64";
  files.backward = true;
  const AttentionSources input = open_attention(files, world());
  EXPECT_EQ(input.k.axes, (std::vector<std::int64_t>{2, 2, 7, 3}));
  EXPECT_EQ(input.d_o.axes, (std::vector<std::int64_t>{2, 4, 9, 5}));
  EXPECT_EQ(input.shape.key_heads, 2);
  const RowPartition partition = RowPartition::zigzag(7, world().size());
  std::string all(2 * 2 * 7 * 3 * 8, '\0');
  for (std::int64_t entry = 0; entry < 4; ++entry)
    input.k.read(input.k.axis, entry, 0, 7,
                 std::as_writable_bytes(std::span(all)).subspan(static_cast<std::size_t>(entry) * 168, 168));
  EXPECT_EQ(text_of(read_rows(input.k, partition, false, world())), rows_of(all, 4, partition, 24));
  // Number 5 of k, by hand; q, k, v are not the same numbers.
  double fifth = 0;
  std::memcpy(&fifth, &all[40], 8);
  EXPECT_EQ(fifth, random_normal(7, RandomStream::points, 5, 1));
}

TEST(AttentionFiles, MasksAndLengths) {
  const std::string folder = scratch_folder("attention_mask");
  AttentionShape shape;
  shape.batch = 2;
  shape.keys = 5;
  const RowPartition keys = RowPartition::zigzag(5, world().size());
  const std::string mask("\1\1\1\0\0\1\1\1\1\0", 10);
  const std::string expected = rows_of(mask, 2, keys, 1);
  const auto text = [](const std::vector<std::uint8_t> &real) { return std::string(real.begin(), real.end()); };
  AttentionFiles files;
  EXPECT_TRUE(read_key_padding(files, shape, keys, world()).empty());
  write_file(folder + "/mask.npy", with_header(dictionary("|b1", false, "(2, 5)"), mask));
  files.key_padding = folder + "/mask.npy";
  EXPECT_EQ(text(read_key_padding(files, shape, keys, world())), expected);
  if (world().rank() == 0) {
    const Hdf5Writer file(folder + "/mask.h5");
    file.dataset("m", H5T_NATIVE_INT8, H5T_NATIVE_INT8, {2, 5}, mask.data());
  }
  world().sum(1.0);
  files.key_padding = folder + "/mask.h5";
  EXPECT_EQ(text(read_key_padding(files, shape, keys, world())), expected);
  files.key_padding.clear();
  write_file(folder + "/lengths.txt", "3\n4\n");
  files.lengths = folder + "/lengths.txt";
  EXPECT_EQ(text(read_key_padding(files, shape, keys, world())), expected);
  files.lengths = "3,4";
  EXPECT_EQ(text(read_key_padding(files, shape, keys, world())), expected);
  files.lengths = "3,6";
  expect_error(error_of([&] { read_key_padding(files, shape, keys, world()); }),
               {"-lengths 3,6: sequence 1 is 6", "[0, 5]"});
  write_file(folder + "/two.npy",
             with_header(dictionary("|u1", false, "(2, 5)"), std::string("\1\1\1\0\0\1\1\1\2\0", 10)));
  files = {};
  files.key_padding = folder + "/two.npy";
  expect_error(error_of([&] { read_key_padding(files, shape, keys, world()); }),
               {"-key_padding", "two.npy: batch 1, token 3 is 2", "1 for a real token"});
  shape.keys = 6;
  expect_error(error_of([&] { read_key_padding(files, shape, RowPartition::contiguous(6, world().size()), world()); }),
               {"two.npy: has shape (2, 5) for 2 sequences of 6 keys", "(B, N_k)"});
}

struct Refused {
  AttentionFiles files;
  std::vector<std::string> words;
};

TEST(AttentionFiles, WhatDoesNotFitIsNamed) {
  const std::string folder = scratch_folder("attention_bad");
  const auto file = [&](const std::string &name, const char *descr, const std::vector<std::int64_t> &axes,
                        bool fortran = false) {
    write_file(folder + "/" + name,
               with_header(dictionary(descr, fortran, shape_words(axes)), std::string(4096, '\0')));
    return folder + "/" + name;
  };
  const std::string q = file("q.npy", "<f4", {2, 4, 5, 3});
  const std::string k = file("k.npy", "<f4", {2, 2, 6, 3});
  const std::string v = file("v.npy", "<f4", {2, 2, 6, 7});
  const std::string d_o = file("do.npy", "<f4", {2, 4, 5, 7});
  const auto with = [&](const std::string &nq, const std::string &nk, const std::string &nv,
                        const std::string &ndo = "") {
    return AttentionFiles{nq, nk, nv, ndo, "", "", "", false, !ndo.empty()};
  };
  EXPECT_EQ(open_attention(with(q, k, v, d_o), world()).shape.value_width, 7);
  AttentionFiles no_gradient = with(q, k, v);
  no_gradient.backward = true;
  AttentionFiles generated;
  generated.generate = "normal:n=8,m=3";
  AttentionFiles immense;
  immense.generate = "normal:b=2000000000,n=2000000000,d=2000000000";
  AttentionFiles both = with(q, k, v);
  both.generate = "normal:n=8";
  AttentionFiles masks = with(q, k, v);
  masks.key_padding = masks.lengths = "m.npy";
  const std::vector<Refused> all{
      {with(q, k, ""), {"-q FILE, -k FILE and -v FILE, all three"}},
      {both, {"either by -q FILE"}},
      {no_gradient, {"-backward needs the gradient", "-do FILE"}},
      {masks, {"-key_padding or -lengths, not both"}},
      {generated, {"unknown argument 'm'", "h_kv"}},
      {immense, {"more than 2^60 numbers"}},
      {with(q, file("w.npy", "<f4", {2, 2, 6, 4}), v),
       {"-k", "w.npy: has shape (2, 2, 6, 4)", "it needs (2, 2, 6, 3)"}},
      {with(q, k, file("r.npy", "<f4", {2, 2, 5, 7})),
       {"-v", "r.npy: has shape (2, 2, 5, 7)", "it needs (2, 2, 6, 7)"}},
      {with(q, k, file("b.npy", "<f4", {1, 2, 6, 7})), {"b.npy: has shape (1, 2, 6, 7)", "it needs (2, 2, 6, 7)"}},
      {with(q, file("h.npy", "<f4", {2, 3, 6, 3}), v), {"q.npy: has 4 heads", "h.npy has 3", "multiple"}},
      {with(q, k, v, file("g.npy", "<f4", {2, 4, 5, 3})), {"-do", "it needs (2, 4, 5, 7)"}},
      {with(q, k, file("d.npy", "<f8", {2, 2, 6, 7})), {"d.npy: is fp64", "k.npy is fp32", "in one type"}},
      {with(file("i.npy", "<u2", {4, 5, 3}), k, v), {"-q", "i.npy: holds values of type <u2", "-bf16"}},
      {with(file("o.npy", "<f4", {4, 5, 3}, true), k, v), {"o.npy: is in Fortran order", "ascontiguousarray"}},
      {with(file("one.npy", "<f4", {5}), k, v), {"has shape (5,), 1 axes", "(B, H, N, D)"}},
      {with(file("none.npy", "<f4", {4, 0, 3}), k, v), {"has shape (4, 0, 3), no numbers"}},
      {with(file("q.csv", "<f4", {5, 3}), k, v), {"q.csv: arrays are read from FILE.npy"}},
      {with(folder + "/not.npy", k, v), {"-q", "not.npy: cannot be opened"}},
  };
  for (const Refused &bad : all) expect_error(error_of([&] { open_attention(bad.files, world()); }), bad.words);
}

TEST(AttentionFiles, PlacesThatAreNotFiniteAreNamed) {
  const std::string folder = scratch_folder("attention_nan");
  const std::vector<std::pair<Storage, std::string>> cases{{Storage::fp64, number_bytes(HUGE_VAL, false)},
                                                           {Storage::fp32, number_bytes(std::nanf(""), false)},
                                                           {Storage::bf16, number_bytes(std::uint16_t{0x7FC0}, false)},
                                                           {Storage::fp16, number_bytes(std::uint16_t{0x7C00}, false)}};
  const RowPartition rows = RowPartition::contiguous(5, world().size());
  for (const auto &[storage, bad] : cases) {
    std::string data = numbered_bytes(storage, 60);
    data.replace(((1 * 2 + 1) * 5 + 3) * 3 * bad.size(), bad.size(), bad);  // batch 1, head 1, row 3
    write_file(folder + "/v.npy", with_header(dictionary(descr_of(storage), false, "(2, 2, 5, 3)"), data));
    const InputArray array = open_heads("-v", folder + "/v.npy", false, world());
    expect_error(error_of([&] { read_rows(array, rows, false, world()); }), {"-v ", "batch 1, head 1, row 3", "NaN"});
  }
  // Scores may hold -infinity, and their rows may be any axis.
  std::string data = numbered_bytes(Storage::fp32, 12) + number_bytes(-HUGE_VALF, false) + number_bytes(1.0F, false);
  data = data.substr(8);
  write_file(folder + "/x.npy", with_header(dictionary("<f4", false, "(3, 4)"), data));
  for (const int dim : {-1, 0}) {
    const InputArray scores = open_scores("-scores", folder + "/x.npy", false, dim, world());
    EXPECT_EQ(scores.axis, dim == 0 ? 0U : 1U);
    const RowPartition some = RowPartition::contiguous(dim == 0 ? 3 : 4, world().size());
    EXPECT_EQ(text_of(read_rows(scores, some, true, world())),
              rows_of(data, dim == 0 ? 1 : 3, some, dim == 0 ? 16 : 4));
    EXPECT_NE(error_of([&] { read_rows(scores, some, false, world()); }), "no error");
  }
  // Named by the file's index, whatever axis rows lie along.
  write_file(folder + "/y.npy", with_header(dictionary("<f4", false, "(3, 4)"), numbered_bytes(Storage::fp32, 9) +
                                                                                    number_bytes(HUGE_VALF, false) +
                                                                                    numbered_bytes(Storage::fp32, 2)));
  const InputArray columns = open_scores("-scores", folder + "/y.npy", false, 0, world());
  expect_error(error_of([&] { read_rows(columns, RowPartition::contiguous(3, world().size()), true, world()); }),
               {"-scores ", "y.npy: (2, 1) (all counted"});
  expect_error(error_of([&] { open_scores("-scores", folder + "/x.npy", false, 2, world()); }),
               {"x.npy: has shape (3, 4), no axis -dim 2", "[-2, 1]"});
}

TEST(AttentionFiles, Alphas) {
  const std::string folder = scratch_folder("attention_alpha");
  write_file(folder + "/a.csv", "0.25\n0.5\n0.75\n");
  EXPECT_EQ(read_alphas("0.3", 4, "head", world()), std::vector<double>{0.3});
  EXPECT_EQ(read_alphas("0.3,0.4", 2, "head", world()), (std::vector<double>{0.3, 0.4}));
  EXPECT_EQ(read_alphas(folder + "/a.csv", 3, "head", world()), (std::vector<double>{0.25, 0.5, 0.75}));
  write_file(folder + "/one.csv", "0.25\n");
  EXPECT_EQ(read_alphas(folder + "/one.csv", 3, "head", world()), std::vector<double>{0.25});
  expect_error(error_of([] { read_alphas("0.3,0.4", 3, "head", world()); }), {"-alpha: 2 numbers for 3 heads"});
  expect_error(error_of([] { read_alphas("half", 3, "head", world()); }), {"-alpha: 'half' is neither"});
  expect_error(error_of([&] { read_alphas(folder + "/a.csv", 4, "head", world()); }), {"(3, 1) for 4 heads"});
}

}  // namespace
}  // namespace flashring
