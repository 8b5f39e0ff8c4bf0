// LineReader: the lines of a text file from some byte on, through a bounded buffer.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {

/// Lines end with \n or \r\n; the last one may lack it. The file must outlive the reader.
class LineReader {
 public:
  LineReader(std::string file, const FileHandle &handle, std::int64_t begin, std::size_t buffer_bytes)
      : file_(std::move(file)), handle_(handle), base_(begin), buffer_(buffer_bytes, '\0') {}

  /// The next line without its end; it stays valid until the next call. False behind the last one.
  bool next(std::string_view &line) {
    std::size_t searched = 0;  // bytes of this line that hold no end
    const char *end = find_end(searched);
    while (end == nullptr) {
      searched = filled_ - at_;
      if (!fill()) break;
      end = find_end(searched);
    }
    if (end == nullptr && at_ == filled_) return false;
    const std::size_t stop = end == nullptr ? filled_ : static_cast<std::size_t>(end - buffer_.data());
    line = std::string_view(buffer_).substr(at_, stop - at_);
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    begin_ = base_ + static_cast<std::int64_t>(at_);
    at_ = end == nullptr ? filled_ : stop + 1;
    return true;
  }

  /// Offset in the file of the line that next() gave.
  std::int64_t begin() const { return begin_; }

 private:
  static constexpr std::size_t most_bytes = std::size_t{1} << 28U;  // ten million numbers

  const char *find_end(std::size_t searched) const {
    const std::size_t from = at_ + searched;
    return static_cast<const char *>(std::memchr(buffer_.data() + from, '\n', filled_ - from));
  }

  /// Reads on; a line that fills the buffer gets a larger one. False at the end of the file.
  bool fill() {
    if (ended_) return false;
    std::memmove(buffer_.data(), buffer_.data() + at_, filled_ - at_);
    base_ += static_cast<std::int64_t>(at_);
    filled_ -= at_;
    at_ = 0;
    if (filled_ == buffer_.size()) {
      FLASHRING_CHECK(filled_ < most_bytes, file_, ": the line that begins at byte ", base_, " is longer than ",
                      most_bytes, " bytes; is it a text of one row per line?");
      buffer_.resize(2 * buffer_.size());
    }
    const std::span<char> room = std::span(buffer_).subspan(filled_);
    const std::size_t got = handle_.read(std::as_writable_bytes(room), base_ + static_cast<std::int64_t>(filled_));
    ended_ = got < room.size();
    filled_ += got;
    return got > 0;
  }

  std::string file_;
  const FileHandle &handle_;
  std::int64_t base_;  // offset in the file of the buffer's first byte
  std::string buffer_;
  std::size_t at_ = 0, filled_ = 0;  // what is not given out yet: [at_, filled_)
  std::int64_t begin_ = 0;
  bool ended_ = false;
};

}  // namespace flashring
