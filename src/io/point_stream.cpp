#include "flashring/point_stream.hpp"

#include <algorithm>
#include <vector>

#include "io/point_file.hpp"

namespace flashring {

PointStream::PointStream(std::string what, const std::string &file, const Communicator &communicator)
    : communicator_(communicator), what_(std::move(what)) {
  with_purpose(what_, [&] { file_ = std::make_unique<OpenPoints>(open_points(file, communicator)); });
}

PointStream::PointStream(PointStream &&) noexcept = default;

PointStream::~PointStream() = default;

PointShape PointStream::shape() const { return file_->shape; }

const RowPartition &PointStream::partition() const { return file_->partition; }

bool PointStream::ended() const {
  for (int r = 0; r < partition().ranks(); ++r)
    if (partition().local_rows(r) > given_) return false;
  return true;
}

PointStream::Block PointStream::next(std::int64_t most) {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < partition().ranks(); ++r)
    counts.push_back(std::clamp<std::int64_t>(partition().local_rows(r) - given_, 0, most));
  const int rank = communicator_.rank();
  Block block;
  with_purpose(what_, [&] {
    communicator_.agree([&] {
      const std::int64_t count = counts[static_cast<std::size_t>(rank)];
      if (count > 0) block.first = partition().global_row(rank, LocalRow{given_});
      block.points = PointBlock(RowPartition::from_counts(counts), rank, file_->shape.features,
                                read_checked(*file_, block.first.value, count));
    });
  });
  given_ += most;
  return block;
}

}  // namespace flashring
