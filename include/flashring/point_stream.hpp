// PointStream: the points of a file block by block, so that their number does not matter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "flashring/communicator.hpp"
#include "flashring/points.hpp"

namespace flashring {

struct OpenPoints;

/// Every rank reads a range of its own, in the order of the file: contiguous shares of the rows, for text shares of the
/// bytes.
class PointStream {
 public:
  /// Any file that read_points takes; a text is read once to count its rows. `what` names the points in messages.
  /// Collective. The communicator must outlive the stream. Throws Error as read_points does, as far as the shape shows
  /// it.
  PointStream(std::string what, const std::string &file, const Communicator &communicator);
  PointStream(PointStream &&) noexcept;
  ~PointStream();

  PointShape shape() const;
  /// One range of the rows of the file for each rank, or none.
  const RowPartition &partition() const;

  /// Rows of this rank, and the row of the file that the first of them is.
  struct Block {
    PointBlock points;
    GlobalRow first;
  };
  /// Up to `most` next rows of every rank, fewer at the end of its range, `most` >= 1 the same on every rank.
  /// Collective. Throws Error, the same on every rank, as read_points does: NaN or an infinite value is named with its
  /// row in the file.
  Block next(std::int64_t most);
  /// Rows that every rank with as many has been given.
  std::int64_t given() const { return given_; }
  /// No rank has any row left.
  bool ended() const;

 private:
  const Communicator &communicator_;
  std::string what_;
  std::unique_ptr<OpenPoints> file_;
  std::int64_t given_ = 0;
};

}  // namespace flashring
