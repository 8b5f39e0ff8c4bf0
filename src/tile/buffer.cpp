#include "flashring/buffer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>

#include "base/pages.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

/// Two cache lines, so that the adjacent-line prefetcher never mixes two buffers.
constexpr std::align_val_t alignment{128};

/// Large buffers have pages of their own: huge ones, since a pass runs over all tiles again and again, more pages than
/// a processor remembers; and they go back to the system when they go.
constexpr bool is_large(std::size_t bytes) { return bytes >= std::size_t{1} << 20; }

/// Of all buffers of this process that are on its GPU.
std::atomic<std::size_t> held_on_device = 0;

std::byte *allocate(const Device *device, std::size_t bytes) {
  if (device != nullptr) {
    std::byte *data = device->allocate(bytes);
    if (data != nullptr) held_on_device += bytes;
    return data;
  }
  return is_large(bytes) ? map_pages(bytes) : static_cast<std::byte *>(::operator new(bytes, alignment, std::nothrow));
}

/// There is no room for `bytes` more. On a GPU what would have fitted: what it holds grows with the rows of a rank.
[[noreturn]] void fail(const Device *device, std::size_t bytes) {
  constexpr const char *see = " or fewer columns, and see what -dry_run says";
  if (device == nullptr)
    throw Error(detail::concatenate("out of memory: ", bytes,
                                    " bytes for tiles and their sums cannot be had; use more ranks, -exchange ring",
                                    see));
  const std::size_t room = device->room();
  const auto held = static_cast<double>(held_on_device);
  const double share = std::clamp((held + static_cast<double>(room)) / (held + static_cast<double>(bytes)), 1e-9, 1.0);
  throw Error(detail::concatenate(
      "out of memory of the GPU: ", bytes, " bytes for tiles and their sums cannot be had, ", room,
      " are free: at most ", std::floor(1000 * share) / 10, "% of the rows would fit, or all of them on ",
      std::ceil(100 / share) / 100, " times as many GPUs; use more ranks, -exchange ring, -points_memory host", see));
}

/// Bytes on their way to or from a device at a time: many, and little beside the arrays themselves.
std::size_t staging_bytes(std::size_t piece, std::size_t all) {
  constexpr std::size_t most = std::size_t{1} << 24;
  return std::min(all, std::max<std::size_t>(1, most / piece) * piece);
}

}  // namespace

void detail::FreeAligned::operator()(std::byte *p) const {
  if (device != nullptr) {
    held_on_device -= bytes;
    device->release(p);
  } else if (is_large(bytes)) {
    unmap_pages(p, bytes);
  } else {
    ::operator delete(p, alignment);
  }
}

void AlignedBuffer::swap(AlignedBuffer &other) {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
}

void AlignedBuffer::clear() {
  data_.reset();
  capacity_ = 0;
  size_ = 0;
}

void AlignedBuffer::resize(std::size_t bytes) {
  if (bytes > capacity_) {
    clear();
    data_ = {allocate(device_, bytes), detail::FreeAligned{device_, bytes}};
    if (data_ == nullptr) {
      wait_for(device_);  // a device that is lost has no room either, and says why
      fail(device_, bytes);
    }
    capacity_ = bytes;
  }
  size_ = bytes;
}

BufferWriter::BufferWriter(AlignedBuffer &buffer, std::size_t piece) : buffer_(buffer), piece_(piece) {
  if (buffer.device() != nullptr && piece > 0) staging_.resize(staging_bytes(piece, buffer.size()));
}

std::byte *BufferWriter::next() {
  if (buffer_.device() == nullptr) {
    sent_ += piece_;
    return buffer_.data() + sent_ - piece_;
  }
  if (filled_ == staging_.size()) finish();
  filled_ += piece_;
  return staging_.data() + filled_ - piece_;
}

std::byte *BufferWriter::piece(std::size_t index) {
  return buffer_.device() == nullptr ? buffer_.data() + index * piece_ : next();
}

void BufferWriter::finish() {
  if (filled_ == 0) return;
  buffer_.device()->upload(buffer_.data() + sent_, staging_.data(), filled_);
  wait_for(buffer_.device());
  sent_ += filled_;
  filled_ = 0;
}

BufferReader::BufferReader(const AlignedBuffer &buffer, std::size_t piece) : buffer_(buffer), piece_(piece) {
  if (buffer.device() != nullptr && piece > 0) staging_.resize(staging_bytes(piece, buffer.size()));
}

const std::byte *BufferReader::next() {
  const std::size_t at = next_++;
  if (at * piece_ == end_) bring(at, 1);
  return piece(at);
}

std::size_t BufferReader::bring(std::size_t first, std::size_t count) {
  if (buffer_.device() == nullptr || piece_ == 0) return count;
  begin_ = first * piece_;
  end_ = begin_ + std::min(staging_.size(), buffer_.size() - begin_);
  buffer_.device()->download(staging_.data(), buffer_.data() + begin_, end_ - begin_);
  wait_for(buffer_.device());
  return std::min(count, (end_ - begin_) / piece_);
}

const std::byte *BufferReader::piece(std::size_t index) const {
  const std::byte *data = buffer_.device() == nullptr ? buffer_.data() : staging_.data();
  return data + (index * piece_ - begin_);
}

std::size_t state_bytes(const Backend &backend, const TileShape &shape) {
  return static_cast<std::size_t>(row_rule(shape.row).state_words(shape.pass, shape.columns) * backend.tile_rows) * 8;
}

void reset_states(const Backend &backend, const TileShape &shape, std::size_t tiles, std::byte *state) {
  if (tiles == 0) return;
  if (backend.device != nullptr) return backend.device->reset(shape, static_cast<std::int64_t>(tiles), state);
  const RowRule &rule = row_rule(shape.row);
  const std::size_t bytes = state_bytes(backend, shape);
  for (std::size_t t = 0; t < tiles; ++t)
    rule.identity(shape.pass, shape.columns, static_cast<std::size_t>(backend.tile_rows), state + t * bytes);
}

void merge_states(const Backend &backend, const TileShape &shape, std::size_t tiles, std::byte *into,
                  const std::byte *from) {
  if (tiles == 0) return;
  if (backend.device != nullptr) return backend.device->merge(shape, static_cast<std::int64_t>(tiles), into, from);
  const RowRule &rule = row_rule(shape.row);
  const std::size_t bytes = state_bytes(backend, shape);
  for (std::size_t t = 0; t < tiles; ++t)
    rule.merge(shape.pass, shape.columns, static_cast<std::size_t>(backend.tile_rows), into + t * bytes,
               from + t * bytes);
}

void wait_for(const Device *device) {
  if (device == nullptr) return;
  const char *failure = device->finish();
  FLASHRING_CHECK(failure == nullptr, "the device failed: ", failure,
                  "; results of this run are lost, look at its health and start again");
}

}  // namespace flashring
