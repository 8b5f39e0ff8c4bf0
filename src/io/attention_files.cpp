// Arrays of heads from files, each rank its own rows of every head; generated ones; masks; and what must fit.
#include "flashring/attention_files.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "flashring/random.hpp"
#include "flashring/readers.hpp"
#include "io/array_file.hpp"
#include "io/hdf5_dataset.hpp"
#include "io/numbers.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

void check_axes(const ArrayFile &file, const char *wanted, std::size_t least, std::size_t most) {
  const std::string shape = shape_text(file.axes);
  FLASHRING_CHECK(file.axes.size() >= least && file.axes.size() <= most, file.place, ": has shape ", shape, ", ",
                  file.axes.size(), " axes; give ", wanted);
  const bool empty = std::any_of(file.axes.begin(), file.axes.end(), [](std::int64_t extent) { return extent == 0; });
  FLASHRING_CHECK(!empty, file.place, ": has shape ", shape, ", no numbers; write at least one");
}

void check_storage(const ArrayFile &file) {
  FLASHRING_CHECK(
      file.storage.has_value(), file.place, ": holds values of type ", file.type,
      "; read are fp64, fp32, fp16 and bfloat16: convert with array.astype('f4'), or say -bf16 where 16-bit "
      "integers are the bits of bfloat16");
}

InputArray describe(const std::shared_ptr<ArrayFile> &file, std::size_t axis) {
  check_storage(*file);
  InputArray array{file->place, file->axes, axis, *file->storage, false, {}};
  array.read = [file](std::size_t along, std::int64_t entry, std::int64_t begin, std::int64_t count,
                      std::span<std::byte> out) {
    file->read_stored({along, entry, begin, count}, out);
  };
  return array;
}

InputArray describe_heads(const std::shared_ptr<ArrayFile> &file) {
  check_axes(*file, "(B, H, N, D), (H, N, D) or (N, D)", 2, 4);
  InputArray array = describe(file, file->axes.size() - 2);
  array.heads = true;
  FLASHRING_CHECK(std::max(array.from_end(1), array.from_end(3)) <= std::numeric_limits<int>::max(), file->place,
                  ": has shape ", shape_text(file->axes),
                  ", too many heads or numbers of a row; is the array transposed?");
  return array;
}

/// Sign and exponent of a storage: a number with all bits of the exponent set is NaN or infinite.
template <class Word>
std::int64_t find_refused(std::span<const std::byte> bytes, Word exponent, bool masks) {
  const auto minus_infinity = static_cast<Word>(exponent | static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1)));
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, &bytes[at], sizeof(Word));
    if ((word & exponent) == exponent && !(masks && word == minus_infinity))
      return static_cast<std::int64_t>(at / sizeof(Word));
  }
  return -1;
}

/// Number of the first value that is not finite (with `masks`: nor -infinity); -1: none.
std::int64_t find_refused(Storage storage, std::span<const std::byte> bytes, bool masks) {
  if (storage == Storage::fp64) return find_refused<std::uint64_t>(bytes, 0x7FF0000000000000U, masks);
  if (storage == Storage::fp32) return find_refused<std::uint32_t>(bytes, 0x7F800000U, masks);
  return find_refused<std::uint16_t>(bytes, storage == Storage::bf16 ? 0x7F80U : 0x7C00U, masks);
}

/// "batch 0, head 3, row 17, column 5", or (0, 3, 17, 5) of rows along another axis: the place of value `number`,
/// counted over all the array in C order.
std::string name_place(const InputArray &array, std::int64_t number) {
  const std::size_t axes = array.axes.size();
  std::vector<std::int64_t> index(axes);
  for (std::size_t a = axes; a-- > 0; number /= array.axes[a]) index[a] = number % array.axes[a];
  if (!array.heads) return shape_text(index);
  constexpr std::array<const char *, 4> names{"batch", "head", "row", "column"};
  std::string text;
  for (std::size_t a = 0; a < axes; ++a)
    text += detail::concatenate(a == 0 ? "" : ", ", names[names.size() - axes + a], " ", index[a]);
  return text;
}

/// Extents that a text such as normal:b=1,h=4,n=4096,d=64,seed=1 gives.
struct Generated {
  AttentionShape shape;
  std::uint64_t seed = 1;
  Storage storage = Storage::fp32;
};

Storage storage_named(const std::string &name) {
  for (const Storage storage : {Storage::fp64, Storage::fp32, Storage::bf16, Storage::fp16})
    if (storage_name(storage) == name) return storage;
  throw Error(
      detail::concatenate("-generate normal: storage '", name, "' is unknown; known are fp64, fp32, bf16, fp16"));
}

Generated parse_generate(const std::string &text) {
  const NamedArguments given = parse_named_arguments("-generate", text);
  FLASHRING_CHECK(given.name == "normal", "-generate: '", given.name,
                  "' is unknown; write normal:b=1,h=4,n=4096,d=64,seed=1");
  Generated result;
  std::map<std::string, std::int64_t> numbers{{"b", 1},   {"h", 1},  {"h_kv", 0}, {"n", 1024},
                                              {"n_k", 0}, {"d", 64}, {"d_v", 0},  {"seed", 1}};
  for (const auto &[key, value] : given.arguments) {
    if (key == "storage") {
      result.storage = storage_named(value);
      continue;
    }
    FLASHRING_CHECK(numbers.contains(key), "-generate normal: unknown argument '", key,
                    "'; known are b, h, h_kv, n, n_k, d, d_v, seed, storage");
    const std::int64_t least = key == "seed" ? 0 : 1;
    const std::int64_t number = numbers[key] = parse_integer("-generate normal: " + key, value);
    FLASHRING_CHECK(number >= least && number <= std::numeric_limits<int>::max(), "-generate normal: ", key, "=", value,
                    " is outside [", least, ", ", std::numeric_limits<int>::max(), "]");
  }
  const auto extent = [&](const char *key, const char *fallback) {
    return numbers[key] > 0 ? numbers[key] : numbers[fallback];
  };
  result.shape = {
      numbers["b"],       static_cast<int>(numbers["h"]), static_cast<int>(extent("h_kv", "h")), numbers["n"],
      extent("n_k", "n"), static_cast<int>(numbers["d"]), static_cast<int>(extent("d_v", "d"))};
  result.seed = static_cast<std::uint64_t>(numbers["seed"]);
  const double rows = static_cast<double>(numbers["b"]) * std::max(result.shape.heads, result.shape.key_heads) *
                      static_cast<double>(std::max(result.shape.queries, result.shape.keys));
  FLASHRING_CHECK(rows * std::max(result.shape.width, result.shape.value_width) < 0x1p60,
                  "-generate normal: an array would have more than 2^60 numbers; give smaller b, h, n or d");
  return result;
}

/// `role`: 0 q, 1 k, 2 v, 3 d_o.
InputArray generate_heads(const Generated &from, std::uint64_t role, int heads, std::int64_t rows, int width) {
  InputArray array{"-generate", {from.shape.batch, heads, rows, width}, 2, from.storage, true, {}};
  array.read = [axes = array.axes, role, storage = from.storage, seed = from.seed](
                   std::size_t along, std::int64_t entry, std::int64_t begin, std::int64_t count,
                   std::span<std::byte> out) {
    const std::int64_t of_row = row_width(axes, along);
    std::vector<double> row(static_cast<std::size_t>(of_row));
    for (std::int64_t i = 0; i < count; ++i) {
      auto index = static_cast<std::uint64_t>((entry * axes[along] + begin + i) * of_row);
      for (double &number : row) number = random_normal(seed, RandomStream::points, index++, role);
      store_numbers(row.data(), of_row, out.data(), storage, i * of_row, 1);
    }
  };
  return array;
}

AttentionSources generate_attention(const AttentionFiles &files) {
  const Generated from = parse_generate(files.generate);
  const AttentionShape &s = from.shape;
  AttentionSources input;
  input.shape = s;
  input.q = generate_heads(from, 0, s.heads, s.queries, s.width);
  input.k = generate_heads(from, 1, s.key_heads, s.keys, s.width);
  input.v = generate_heads(from, 2, s.key_heads, s.keys, s.value_width);
  if (files.backward) input.d_o = generate_heads(from, 3, s.heads, s.queries, s.value_width);
  return input;
}

/// (B, H, N, D)
std::vector<std::int64_t> heads_of(const InputArray &array) {
  return {array.from_end(4), array.from_end(3), array.from_end(2), array.from_end(1)};
}

void check_fits(const InputArray &array, const std::vector<std::int64_t> &wanted, const char *axes,
                const InputArray &first) {
  FLASHRING_CHECK(heads_of(array) == wanted, array.place, ": has shape ", shape_text(heads_of(array)), " as ", axes,
                  ", beside ", first.place, " of ", shape_text(heads_of(first)), " it needs ", shape_text(wanted));
  FLASHRING_CHECK(array.storage == first.storage, array.place, ": is ", storage_name(array.storage), " and ",
                  first.place, " is ", storage_name(first.storage), "; give all arrays in one type");
}

/// Every sentence names the file that does not fit and the one that it is compared with.
void check_shapes(const AttentionSources &input, bool backward) {
  const InputArray &q = input.q;
  const InputArray &k = input.k;
  const std::int64_t width = input.v.from_end(1);
  check_fits(k, {q.from_end(4), k.from_end(3), k.from_end(2), q.from_end(1)}, "(B, H_kv, N_k, D)", q);
  FLASHRING_CHECK(q.from_end(3) % k.from_end(3) == 0, q.place, ": has ", q.from_end(3), " heads and ", k.place, " has ",
                  k.from_end(3), "; the heads of the queries must be a multiple of those of the keys");
  check_fits(input.v, {k.from_end(4), k.from_end(3), k.from_end(2), width}, "(B, H_kv, N_k, D_v)", k);
  if (backward) check_fits(input.d_o, {q.from_end(4), q.from_end(3), q.from_end(2), width}, "(B, H_q, N_q, D_v)", q);
}

void check_files(const AttentionFiles &files) {
  const bool all = !files.q.empty() && !files.k.empty() && !files.v.empty();
  const bool any = !files.q.empty() || !files.k.empty() || !files.v.empty() || !files.d_o.empty();
  FLASHRING_CHECK(files.generate.empty() ? all : !any,
                  "give the arrays either by -q FILE, -k FILE and -v FILE, all three, or by -generate");
  FLASHRING_CHECK(!files.backward || !files.generate.empty() || !files.d_o.empty(),
                  "-backward needs the gradient of the output: give it by -do FILE, shape (B, H_q, N_q, D_v)");
  FLASHRING_CHECK(files.backward || files.d_o.empty(), "-do ", files.d_o, " has no effect without -backward; add it");
  FLASHRING_CHECK(files.key_padding.empty() || files.lengths.empty(),
                  "give -key_padding or -lengths, not both: a length says which keys are real");
}

/// Zeros and ones of this rank's keys.
std::vector<std::uint8_t> read_mask(const std::string &file, const AttentionShape &shape, const RowPartition &keys,
                                    int rank) {
  const std::unique_ptr<ArrayFile> mask = open_array(file, false);
  check_axes(*mask, "(B, N_k) or (N_k,), 1 for a real token and 0 for padding", 1, 2);
  const std::size_t axis = mask->axes.size() - 1;
  FLASHRING_CHECK(entries_before(mask->axes, axis) == shape.batch && mask->axes[axis] == shape.keys, mask->place,
                  ": has shape ", shape_text(mask->axes), " for ", shape.batch, " sequences of ", shape.keys,
                  " keys; give (B, N_k), 1 for a real token and 0 for padding");
  std::vector<std::uint8_t> real;
  std::vector<double> numbers;
  for (std::int64_t b = 0; b < shape.batch; ++b)
    for (const RowRange &range : keys.ranges(rank)) {
      numbers.resize(static_cast<std::size_t>(range.count));
      if (range.count > 0) mask->read_numbers({axis, b, range.begin.value, range.count}, numbers);
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        FLASHRING_CHECK(numbers[i] == 0 || numbers[i] == 1, mask->place, ": batch ", b, ", token ",
                        range.begin.value + static_cast<std::int64_t>(i), " is ", numbers[i],
                        "; write 1 for a real token and 0 for padding");
        real.push_back(numbers[i] == 1 ? 1 : 0);
      }
    }
  return real;
}

/// `count` numbers, one for each `each`, or one for all: a list, or a file. Collective.
std::vector<double> list_or_file(const std::string &option, const std::string &text, std::int64_t count,
                                 const std::string &each, const Communicator &communicator) {
  if (parse_point_file(text).format != PointFormat::none) {
    const PointShape shape = with_purpose(option, [&] { return points_shape(text, communicator); });
    return read_numbers(option, text, shape.rows * shape.features == 1 ? 1 : count, each, communicator);
  }
  std::vector<double> numbers;
  communicator.agree([&] {
    numbers = parse_numbers(option, text, "a number");
    const auto given = static_cast<std::int64_t>(numbers.size());
    FLASHRING_CHECK(given == 1 || given == count, option, ": ", given, " numbers for ", count, " ", each,
                    "s; give one for all, or one for each ", each);
  });
  return numbers;
}

/// Opens a file and describes it by `work`. Collective.
template <class Work>
InputArray open_named(const std::string &option, const std::string &file, bool words, const Communicator &communicator,
                      const Work &work) {
  return with_purpose(option, [&] {
    InputArray array;
    communicator.agree([&] { array = work(std::shared_ptr<ArrayFile>(open_array(file, words))); });
    check_common(array.place, array.shape_and_type(), communicator);
    array.place = option + " " + array.place;
    return array;
  });
}

std::vector<std::uint8_t> mask_of_lengths(const std::string &file, std::span<const double> lengths,
                                          const AttentionShape &shape, const RowPartition &keys, int rank) {
  std::vector<std::uint8_t> real;
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    const double length = lengths[lengths.size() == 1 ? 0 : static_cast<std::size_t>(b)];
    FLASHRING_CHECK(length >= 0 && length <= static_cast<double>(shape.keys) && length == std::floor(length),
                    "-lengths ", file, ": sequence ", b, " is ", length, ", no whole number in [0, ", shape.keys, "]");
    for (const RowRange &range : keys.ranges(rank))
      for (std::int64_t i = range.begin.value; i < range.begin.value + range.count; ++i)
        real.push_back(static_cast<double>(i) < length ? 1 : 0);
  }
  return real;
}

}  // namespace

std::string InputArray::shape_and_type() const {
  return detail::concatenate(shape_text(axes), " of ", storage_name(storage));
}

InputArray open_heads(const std::string &option, const std::string &file, bool words,
                      const Communicator &communicator) {
  return open_named(option, file, words, communicator, describe_heads);
}

InputArray open_scores(const std::string &option, const std::string &file, bool words, int dim,
                       const Communicator &communicator) {
  return open_named(option, file, words, communicator, [dim](const std::shared_ptr<ArrayFile> &open) {
    check_axes(*open, "at least one", 1, H5S_MAX_RANK);
    const auto axes = static_cast<int>(open->axes.size());
    FLASHRING_CHECK(dim >= -axes && dim < axes, open->place, ": has shape ", shape_text(open->axes), ", no axis -dim ",
                    dim, "; give one in [", -axes, ", ", axes - 1, "]");
    InputArray array = describe(open, static_cast<std::size_t>(dim < 0 ? dim + axes : dim));
    array.heads = axes <= 4 && array.axis + 1 == array.axes.size();
    return array;
  });
}

std::vector<std::byte> read_rows(const InputArray &array, const RowPartition &partition, bool masks,
                                 const Communicator &communicator) {
  const int rank = communicator.rank();
  const std::int64_t width = row_width(array.axes, array.axis);
  const std::int64_t entries = entries_before(array.axes, array.axis);
  const std::size_t row_bytes = storage_bytes(array.storage) * static_cast<std::size_t>(width);
  std::vector<std::byte> all(row_bytes * static_cast<std::size_t>(entries * partition.local_rows(rank)));
  communicator.agree([&] {
    std::span<std::byte> rest = all;
    for (std::int64_t entry = 0; entry < entries; ++entry)
      for (const RowRange &range : partition.ranges(rank)) {
        if (range.count == 0) continue;
        const std::span<std::byte> out = rest.first(row_bytes * static_cast<std::size_t>(range.count));
        rest = rest.subspan(out.size());
        array.read(array.axis, entry, range.begin.value, range.count, out);
        const std::int64_t bad = find_refused(array.storage, out, masks);
        if (bad < 0) continue;
        const std::int64_t first = (entry * partition.rows() + range.begin.value) * width;
        throw Error(detail::concatenate(array.place, ": ", name_place(array, first + bad),
                                        " (all counted from 0) holds NaN or an infinite value; repair the array, ",
                                        masks ? "and mask entries by -infinity" : "tokens that are padding, too"));
      }
  });
  return all;
}

AttentionSources open_attention(const AttentionFiles &files, const Communicator &communicator) {
  communicator.agree([&] { check_files(files); });
  AttentionSources input;
  if (!files.generate.empty()) {
    communicator.agree([&] { input = generate_attention(files); });
  } else {
    input.q = open_heads("-q", files.q, files.words, communicator);
    input.k = open_heads("-k", files.k, files.words, communicator);
    input.v = open_heads("-v", files.v, files.words, communicator);
    if (files.backward) input.d_o = open_heads("-do", files.d_o, files.words, communicator);
  }
  communicator.agree([&] { check_shapes(input, files.backward); });
  const auto extent = [](const InputArray &array, std::size_t n) { return static_cast<int>(array.from_end(n)); };
  input.shape = {input.q.from_end(4), extent(input.q, 3), extent(input.k, 3), input.q.from_end(2),
                 input.k.from_end(2), extent(input.q, 1), extent(input.v, 1)};
  return input;
}

std::vector<std::uint8_t> read_key_padding(const AttentionFiles &files, const AttentionShape &shape,
                                           const RowPartition &keys, const Communicator &communicator) {
  std::vector<std::uint8_t> real;
  if (!files.key_padding.empty())
    with_purpose("-key_padding", [&] {
      communicator.agree([&] { real = read_mask(files.key_padding, shape, keys, communicator.rank()); });
    });
  if (files.lengths.empty()) return real;
  const std::vector<double> lengths = list_or_file("-lengths", files.lengths, shape.batch, "sequence", communicator);
  communicator.agree([&] { real = mask_of_lengths(files.lengths, lengths, shape, keys, communicator.rank()); });
  return real;
}

std::int64_t count_alphas(const std::string &text, const Communicator &communicator) {
  std::int64_t count = 0;
  if (parse_point_file(text).format != PointFormat::none) {
    const PointShape shape = with_purpose("-alpha", [&] { return points_shape(text, communicator); });
    return shape.rows * shape.features;
  }
  communicator.agree([&] { count = std::ssize(parse_numbers("-alpha", text, "a number")); });
  return count;
}

std::vector<double> read_alphas(const std::string &text, std::int64_t count, const std::string &each,
                                const Communicator &communicator) {
  return list_or_file("-alpha", text, count, each, communicator);
}

}  // namespace flashring
