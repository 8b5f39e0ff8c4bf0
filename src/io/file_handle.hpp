// FileHandle: an open file that is read and written at offsets, closed with the object.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "flashring/check.hpp"

namespace flashring {

/// Offsets and sizes in bytes. Every failure is an Error that names the file and the system's reason.
class FileHandle {
 public:
  FileHandle(std::string file, int flags) : file_(std::move(file)), descriptor_(::open(file_.c_str(), flags, 0666)) {
    FLASHRING_CHECK(descriptor_ >= 0, file_, ": cannot be opened (", std::strerror(errno), "); ",
                    (flags & O_CREAT) != 0 ? "check the folder and its permissions" : "check the path");
  }
  FileHandle(const FileHandle &) = delete;
  FileHandle &operator=(const FileHandle &) = delete;
  ~FileHandle() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  int descriptor() const { return descriptor_; }

  /// Bytes of a regular file: what has no size, or cannot be read at any offset, is refused.
  std::int64_t size() const {
    struct stat status {};
    FLASHRING_CHECK(::fstat(descriptor_, &status) == 0, file_, ": cannot be looked at (", std::strerror(errno),
                    "); check the disk");
    FLASHRING_CHECK(!S_ISDIR(status.st_mode), file_, ": is a folder, not a file; name the file in it");
    FLASHRING_CHECK(S_ISREG(status.st_mode), file_, ": is not a regular file (a pipe, a device); write it to a disk");
    return status.st_size;
  }

  /// Up to bytes.size() bytes from `offset`; fewer only at the end of the file.
  std::size_t read(std::span<std::byte> bytes, std::int64_t offset) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(descriptor_, bytes.data() + done, bytes.size() - done, offset + to_offset(done));
      if (got < 0 && errno == EINTR) continue;
      FLASHRING_CHECK(got >= 0, file_, ": cannot be read at byte ", offset + to_offset(done), " (",
                      std::strerror(errno), "); check the disk and copy the file again");
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  void write(std::span<const std::byte> bytes, std::int64_t offset) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, offset + to_offset(done));
      if (put < 0 && errno == EINTR) continue;
      FLASHRING_CHECK(put > 0, file_, ": cannot be written at byte ", offset + to_offset(done), " (",
                      std::strerror(put < 0 ? errno : ENOSPC), "); check the free space and quota");
      done += static_cast<std::size_t>(put);
    }
  }

  /// Extends or cuts the file.
  void resize(std::int64_t bytes) const {
    FLASHRING_CHECK(::ftruncate(descriptor_, bytes) == 0, file_, ": cannot be extended to ", bytes, " bytes (",
                    std::strerror(errno), "); check the file size limit (ulimit -f) and the free space");
  }

  /// What was written is on the disk, so that quotas that are counted late have spoken.
  void sync() const {
    FLASHRING_CHECK(::fsync(descriptor_) == 0 || errno == EINVAL, file_, ": cannot be written (", std::strerror(errno),
                    "); check the free space and quota");
  }

  /// Network file systems report a full disk here at the latest.
  void close() {
    const int descriptor = descriptor_;
    descriptor_ = -1;
    FLASHRING_CHECK(::close(descriptor) == 0, file_, ": cannot be closed (", std::strerror(errno),
                    "); check the free space and quota");
  }

 private:
  static std::int64_t to_offset(std::size_t bytes) { return static_cast<std::int64_t>(bytes); }

  std::string file_;
  int descriptor_;
};

}  // namespace flashring
