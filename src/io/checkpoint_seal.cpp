#include "io/checkpoint_seal.hpp"

#include <algorithm>
#include <sstream>

#include "base/word_sum.hpp"
#include "flashring/check.hpp"
#include "flashring/fingerprint.hpp"

namespace flashring {
namespace {

constexpr const char *magic = "flashring checkpoint, format ";
constexpr int newest_format = 1;

std::uint64_t sum_of_text(const std::string &text) { return sum_words(std::as_bytes(std::span(text)), 0); }

/// The first bytes of a file; fewer where it is shorter.
std::string read_beginning(const FileHandle &handle) {
  std::string text(static_cast<std::size_t>(seal_bytes), '\0');
  text.resize(handle.read(std::as_writable_bytes(std::span(text)), 0));
  return text;
}

[[noreturn]] void refuse_foreign(const std::string &file, const std::string &text) {
  FLASHRING_CHECK(text.compare(0, 4, "\x89HDF") != 0, file,
                  ": is an HDF5 file, but not a checkpoint; name the file that -checkpoint wrote");
  FLASHRING_CHECK(
      text.find_first_not_of('\0') != std::string::npos, file,
      ": is not complete (it begins with zeros): what wrote it was ended before; take an earlier checkpoint");
  throw Error(file + ": is not a checkpoint (it does not begin with \"flashring checkpoint\"); name the file that " +
              "-checkpoint wrote");
}

std::uint64_t read_hex(std::istringstream &words) {
  std::uint64_t value = 0;
  words >> std::hex >> value >> std::dec;
  return value;
}

/// Whatever it finds: seal_text tells whether it is what was written.
CheckpointSeal parse_seal(const std::string &text) {
  CheckpointSeal seal;
  std::istringstream words(text.substr(text.find('\n') + 1));
  std::string word;
  while (words >> word) {
    if (word == "rows") words >> seal.rows;
    if (word == "bytes") words >> seal.bytes;
    if (word == "rest") seal.rest = read_hex(words);
    if (word != "array") continue;
    CheckpointRegion region;
    words >> region.name >> region.columns >> region.offset;
    region.checksum = read_hex(words);
    seal.regions.push_back(region);
  }
  return seal;
}

/// Word sums of a file's bytes from one place to the next, in pieces. Places go on over the pieces.
class FileSum {
 public:
  explicit FileSum(const FileHandle &handle) : handle_(handle), buffer_(std::size_t{1} << 16U) {}
  void add(std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const auto most = static_cast<std::size_t>(std::min(end - begin, std::ssize(buffer_)));
      const std::size_t got = handle_.read(std::span(buffer_).first(most), begin);
      sum_ += sum_words(std::span<const std::byte>(buffer_).first(got), place_);
      place_ += (got + 7) / 8;
      if (got < most) return;  // the end of the file: its size is looked at elsewhere
      begin += static_cast<std::int64_t>(got);
    }
  }
  std::uint64_t sum() const { return sum_; }

 private:
  const FileHandle &handle_;
  std::vector<std::byte> buffer_;
  std::uint64_t place_ = 0;
  std::uint64_t sum_ = 0;
};

std::string seal_lines(const CheckpointSeal &seal) {
  std::string text = detail::concatenate(magic, newest_format, "\nrows ", seal.rows, "\nbytes ", seal.bytes, "\nrest ",
                                         to_hex(seal.rest), "\n");
  for (const CheckpointRegion &region : seal.regions)
    text += detail::concatenate("array ", region.name, " ", region.columns, " ", region.offset, " ",
                                to_hex(region.checksum), "\n");
  return text + "seal " + to_hex(sum_of_text(text)) + "\n";
}

/// Fills up, or cuts what cannot have been a seal.
std::string to_seal_size(std::string text) {
  text.resize(static_cast<std::size_t>(seal_bytes), '\n');
  return text;
}

}  // namespace

std::string seal_text(const CheckpointSeal &seal) {
  const std::string text = seal_lines(seal);
  FLASHRING_CHECK(std::ssize(text) <= seal_bytes, "checkpoint: ", seal.regions.size(),
                  " arrays over rows are more than its first ", seal_bytes,
                  " bytes can list; put several into one or shorten their names");
  return to_seal_size(text);
}

CheckpointSeal read_seal(const std::string &file, const FileHandle &handle) {
  const std::int64_t size = handle.size();
  FLASHRING_CHECK(size > 0, file, ": is empty; take an earlier checkpoint");
  const std::string text = read_beginning(handle);
  const std::string beginning(magic);
  if (text.compare(0, beginning.size(), beginning) != 0) refuse_foreign(file, text);
  int format = 0;
  std::istringstream(text.substr(beginning.size())) >> format;
  FLASHRING_CHECK(format <= newest_format, file, ": is a checkpoint of format ", format, ", and formats up to ",
                  newest_format, " are known here; use the version of flashring that wrote it");
  CheckpointSeal seal = parse_seal(text);
  FLASHRING_CHECK(to_seal_size(seal_lines(seal)) == text, file, ": is damaged: its first ", seal_bytes,
                  " bytes do not agree with their checksum; take an earlier checkpoint");
  FLASHRING_CHECK(seal.bytes == size, file, ": has ", size, " bytes instead of ", seal.bytes,
                  "; it was cut off or changed; copy it again, or take an earlier checkpoint");
  return seal;
}

bool begins_as_checkpoint(const FileHandle &handle) { return read_beginning(handle).rfind(magic, 0) == 0; }

std::uint64_t sum_of_rest(const FileHandle &handle, const CheckpointSeal &seal) {
  std::vector<CheckpointRegion> regions = seal.regions;
  std::sort(regions.begin(), regions.end(), [](const auto &a, const auto &b) { return a.offset < b.offset; });
  FileSum rest(handle);
  std::int64_t at = seal_bytes;
  for (const CheckpointRegion &region : regions) {
    const std::int64_t bytes = seal.rows * region.columns * 8;
    if (bytes == 0) continue;
    rest.add(at, region.offset);
    at = region.offset + bytes;
  }
  rest.add(at, seal.bytes);
  return rest.sum();
}

}  // namespace flashring
