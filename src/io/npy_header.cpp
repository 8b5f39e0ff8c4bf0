// The header of an NPY file: 6 magic bytes, 2 version bytes, a little-endian length (2 bytes in format 1.0, 4 after)
// and a Python dictionary in text: {'descr': '<f8', 'fortran_order': False, 'shape': (100, 3), }.
#include "io/npy_header.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <map>
#include <string_view>

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {
namespace {

constexpr std::string_view magic("\x93NUMPY", 6);
constexpr std::size_t most_header_bytes = std::size_t{1} << 20U;  // a real one has about 100; more is damage
constexpr std::string_view spaces = " \t\r\n";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(spaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

std::string_view unquote(std::string_view text) {
  const bool quoted = text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front();
  return quoted ? text.substr(1, text.size() - 2) : std::string_view{};
}

/// End of the value that starts at `at`: the next comma or brace outside quotes and brackets.
std::size_t value_end(std::string_view text, std::size_t at) {
  int depth = 0;
  char quote = '\0';
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      --depth;
    } else if (depth == 0 && (c == ',' || c == '}')) {
      break;
    }
  }
  return at;
}

/// Keys and values of the dictionary, values as written; empty where the text is not one.
std::map<std::string_view, std::string_view> parse_dictionary(std::string_view text) {
  std::map<std::string_view, std::string_view> entries;
  text = trim(text);
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return entries;
  std::size_t at = 1;
  while (at < text.size()) {
    const std::size_t colon = text.find(':', at);
    if (colon == std::string_view::npos) break;
    const std::size_t end = value_end(text, colon + 1);
    entries[unquote(trim(text.substr(at, colon - at)))] = trim(text.substr(colon + 1, end - colon - 1));
    at = end + 1;
  }
  return entries;
}

std::string readable_types(const std::string &file) {
  return "readable are f4, f8, bool and the integers i1 to i8 and u1 to u8 in either byte order; convert with "
         "numpy.save('" +
         file + "', array.astype('f8'))";
}

std::string_view words_of(std::string_view name) {
  if (name == "f2") return " (float16)";
  if (name == "V2") return " (bfloat16)";
  if (name == "f16" || name == "f12") return " (long double)";
  if (name.substr(0, 1) == "c") return " (complex)";
  if (name.substr(0, 1) == "S" || name.substr(0, 1) == "U") return " (text)";
  if (name.substr(0, 1) == "O") return " (Python objects)";
  return "";
}

NpyType parse_type(const std::string &file, std::string_view descr) {
  NpyType type;
  type.text = descr;
  FLASHRING_CHECK(descr.empty() || descr.front() != '[', file, ": holds records with named fields (structured type ",
                  descr, "), not numbers; ", readable_types(file));
  const std::string_view code = unquote(descr);
  const bool has_order = !code.empty() && std::string_view("<>|=").find(code.front()) != std::string_view::npos;
  const std::string_view name = has_order ? code.substr(1) : code;
  type.text = code.empty() ? descr : code;
  constexpr std::array<std::string_view, 13> known = {"f4", "f8", "i1", "i2", "i4", "i8", "u1",
                                                      "u2", "u4", "u8", "b1", "f2", "V2"};
  const bool found = std::find(known.begin(), known.end(), name) != known.end();
  FLASHRING_CHECK(found, file, ": holds values of type ", type.text, words_of(name), ", which is not read; ",
                  readable_types(file));
  type.kind = name[0];
  type.bytes = name[1] - '0';
  const char foreign = std::endian::native == std::endian::little ? '>' : '<';
  type.swap = has_order && code.front() == foreign && type.bytes > 1;
  return type;
}

std::vector<std::int64_t> parse_shape(const std::string &file, std::string_view text) {
  const bool tuple = text.size() >= 2 && text.front() == '(' && text.back() == ')';
  std::vector<std::int64_t> shape;
  std::string_view rest = tuple ? text.substr(1, text.size() - 2) : std::string_view{};
  bool good = tuple;
  while (good && !trim(rest).empty()) {
    const std::size_t comma = rest.find(',');
    std::string_view item = trim(rest.substr(0, comma));
    if (!item.empty() && item.back() == 'L') item.remove_suffix(1);  // Python 2 wrote 100L
    std::int64_t &value = shape.emplace_back(-1);
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    good = error == std::errc{} && end == item.data() + item.size() && value >= 0;
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  FLASHRING_CHECK(good, file, ": the header's shape is ", text,
                  ", not a tuple of counts such as (100, 3): the file is damaged; write it again");
  return shape;
}

void check_magic(const std::string &file, std::string_view start) {
  if (start.size() >= magic.size() && start.substr(0, magic.size()) == magic) return;
  std::string_view hint = "write it with numpy.save";
  if (start.substr(0, 2) == "PK") hint = "it is a zip archive (.npz?): write one array with numpy.save";
  if (start.size() >= 4 && start.substr(1, 3) == "HDF") hint = "it is an HDF5 file: write its dataset with numpy.save";
  FLASHRING_CHECK(!start.empty(), file, ": is empty, not an NPY file; ", hint);
  throw Error(detail::concatenate(file, ": is not an NPY file (its first bytes are not \\x93NUMPY); ", hint));
}

/// The dictionary's text, and in `data` the offset behind it.
std::string read_dictionary(const std::string &file, const FileHandle &handle, std::int64_t &data) {
  std::array<unsigned char, 12> start{};
  const std::size_t got = handle.read(std::as_writable_bytes(std::span(start)), 0);
  check_magic(file, std::string_view(reinterpret_cast<const char *>(start.data()), got));
  const int major = start[6];
  FLASHRING_CHECK(got < 8 || (major >= 1 && major <= 3), file, ": NPY format ", major, ".", int{start[7]},
                  " at byte 6 is not known (1.0, 2.0 and 3.0 are); write it again with numpy.save");
  const std::size_t prefix = major == 1 ? 10 : 12;
  std::size_t length = start[8] + 256U * start[9];
  if (major > 1) length += 65536U * start[10] + 16777216U * static_cast<std::size_t>(start[11]);
  FLASHRING_CHECK(got >= prefix, file, ": ends inside its header, at byte ", got,
                  ": the file is cut off; copy or write it again");
  FLASHRING_CHECK(length <= most_header_bytes, file, ": announces a header of ", length,
                  " bytes at byte 8: the file is damaged; copy or write it again");
  std::string text(length, ' ');
  const std::size_t read = handle.read(std::as_writable_bytes(std::span(text)), static_cast<std::int64_t>(prefix));
  FLASHRING_CHECK(read == length, file, ": ends inside its header, at byte ", prefix + read, " of ", prefix + length,
                  ": the file is cut off; copy or write it again");
  data = static_cast<std::int64_t>(prefix + length);
  return text;
}

}  // namespace

NpyHeader read_npy_header(const std::string &file, const FileHandle &handle) {
  NpyHeader header;
  const std::string text = read_dictionary(file, handle, header.data);
  const auto entries = parse_dictionary(text);
  for (const char *key : {"descr", "fortran_order", "shape"})
    FLASHRING_CHECK(entries.contains(key), file, ": the header has no '", key, "' (it reads ",
                    trim(std::string_view(text).substr(0, 200)), "): the file is damaged; write it again");
  header.type = parse_type(file, entries.at("descr"));
  const std::string_view order = entries.at("fortran_order");
  FLASHRING_CHECK(order == "True" || order == "False", file, ": the header's fortran_order is ", order,
                  ", not True or False: the file is damaged; write it again");
  header.fortran_order = order == "True";
  header.shape_text = entries.at("shape");
  header.shape = parse_shape(file, header.shape_text);
  return header;
}

void check_converted(const std::string &file, const NpyType &type) {
  const bool converted = type.kind != 'V' && (type.kind != 'f' || type.bytes > 2);
  FLASHRING_CHECK(converted, file, ": holds values of type ", type.text, words_of(type.kind == 'V' ? "V2" : "f2"),
                  ", which is not read; ", readable_types(file));
}

}  // namespace flashring
