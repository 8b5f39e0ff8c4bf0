// AlignedBuffer: bytes in the memory of a backend, and what is done to them there.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "flashring/tile.hpp"

namespace flashring {

namespace detail {
/// Gives back what AlignedBuffer took.
struct FreeAligned {
  const Device *device = nullptr;
  std::size_t bytes = 0;  // as they were asked for
  void operator()(std::byte *p) const;
};
}  // namespace detail

/// Bytes of the host, aligned to 128, in huge pages where they are many; or of a device. They keep their capacity:
/// allocations happen once per geometry.
class AlignedBuffer {
 public:
  /// `device`: null for the host.
  explicit AlignedBuffer(const Device *device = nullptr) : device_(device) {}
  AlignedBuffer(AlignedBuffer &&other) noexcept { swap(other); }
  AlignedBuffer &operator=(AlignedBuffer &&other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedBuffer() = default;

  /// Contents are lost when it grows. Throws Error where there is no memory.
  void resize(std::size_t bytes);
  /// Gives the memory back.
  void clear();
  std::byte *data() { return data_.get(); }
  const std::byte *data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  const Device *device() const { return device_; }

 private:
  void swap(AlignedBuffer &other);

  const Device *device_ = nullptr;
  std::unique_ptr<std::byte, detail::FreeAligned> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Fills a buffer from the host piece by piece: straight into it where it is the host's, through memory of its own and
/// the device's queue otherwise.
class BufferWriter {
 public:
  /// Pieces of `piece` bytes.
  BufferWriter(AlignedBuffer &buffer, std::size_t piece);
  ~BufferWriter() = default;
  BufferWriter(const BufferWriter &) = delete;
  BufferWriter &operator=(const BufferWriter &) = delete;

  /// Where the next piece is to be written; the one before is complete.
  std::byte *next();
  /// Piece `index`, of a device in their order; pieces of the host by any threads.
  std::byte *piece(std::size_t index);
  /// The last piece is complete: all of them are in the buffer. Throws Error with what the device says.
  void finish();

 private:
  AlignedBuffer &buffer_;
  std::size_t piece_;
  std::size_t sent_ = 0;    // bytes that are in the buffer
  std::size_t filled_ = 0;  // of staging_
  std::vector<std::byte> staging_;
};

/// Reads a buffer to the host piece by piece, likewise.
class BufferReader {
 public:
  BufferReader(const AlignedBuffer &buffer, std::size_t piece);
  /// The next piece, there until the one after is asked for. Throws Error with what the device says.
  const std::byte *next();
  /// Makes some pieces from `first` on ready until it is called again: all `count` of the host, of a device those that
  /// are copied at a time, one at least. Returns how many. Throws as `next` does.
  std::size_t bring(std::size_t first, std::size_t count);
  /// One of these, by any threads.
  const std::byte *piece(std::size_t index) const;

 private:
  const AlignedBuffer &buffer_;
  std::size_t piece_;
  std::size_t next_ = 0;             // piece
  std::size_t begin_ = 0, end_ = 0;  // of the buffer, what staging_ holds
  std::vector<std::byte> staging_;
};

/// Identity of the row rule for the states of so many tiles.
void reset_states(const Backend &backend, const TileShape &shape, std::size_t tiles, std::byte *state);
/// into = merge(into, from).
void merge_states(const Backend &backend, const TileShape &shape, std::size_t tiles, std::byte *into,
                  const std::byte *from);
/// Bytes of the states of a tile.
std::size_t state_bytes(const Backend &backend, const TileShape &shape);

/// Waits for everything that was queued on a device; nothing on the host. Throws Error with what went wrong.
void wait_for(const Device *device);

}  // namespace flashring
