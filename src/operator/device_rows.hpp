// Threshold families on rows of scores, on a device.
//
// Steps     Rows that fit the shared memory of a block, and are not split over ranks, are taken whole, in one launch.
//           Others go as rows split over ranks do on a processor: the largest score of each; Newton on the host with
//           sums of all rows from the device; their weights.
// Cost      whole rows are read and written once. Others are read once more for each iteration, with a copy of 40 bytes
//           a row there and back. Arrays of the host are copied once.
#pragma once

#include <functional>
#include <vector>

#include "flashring/buffer.hpp"
#include "operator/threshold_rows.hpp"

namespace flashring {

class DeviceRows {
 public:
  /// group: ranks over which rows are split, or null. families: of the groups of rows.
  DeviceRows(const ThresholdDevice &device, const Communicator *group, const RowsShape &shape,
             const std::vector<ThresholdFamily> &families, const ThresholdRowsOptions &options);

  /// As ThresholdRows; check: throws for maxima that are not finite.
  ThresholdSaved forward(const void *x, Storage storage, void *p, std::vector<RowOutcome> &outcomes,
                         const std::function<void(const std::vector<double> &maxima)> &check);
  std::vector<double> backward(const void *x, const ThresholdSaved &saved, const void *g, Storage storage, void *dx,
                               std::vector<RowOutcome> &outcomes);
  double bytes_copied() const { return bytes_copied_; }

 private:
  std::size_t rows() const { return static_cast<std::size_t>(shape_.rows()); }
  /// What fails on one rank fails on all of those over which rows are split.
  void agree(const std::function<void()> &work) const { group_ == nullptr ? work() : group_->agree(work); }
  const ThresholdFamily &family_of(std::size_t row) const;
  bool takes_whole(ThresholdStep step) const;
  void take(const void *x, const void *g, Storage storage, void *out);
  void give();
  ThresholdCall call(ThresholdStep step);
  std::vector<double> run(ThresholdStep step);
  void forward_whole(std::vector<RowOutcome> &outcomes);
  void forward_in_steps(std::vector<RowOutcome> &outcomes,
                        const std::function<void(const std::vector<double> &maxima)> &check);
  std::vector<ThresholdSearch> search(const std::vector<double> &maxima);

  const ThresholdDevice &device_;
  const Communicator *group_;
  RowsShape shape_;
  std::vector<ThresholdFamily> families_;
  ThresholdRowsOptions options_;
  Storage storage_ = Storage::fp64;
  const void *x_ = nullptr;  // the device's, as is g_
  const void *g_ = nullptr;
  void *out_ = nullptr;  // the caller's
  double bytes_copied_ = 0;
  std::vector<ThresholdMark> marks_;  // (rows)
  AlignedBuffer x_copy_, g_copy_;     // (outer, n, inner); results take the place of x
  AlignedBuffer families_there_, marks_there_, sums_, outcomes_, scratch_;
};

}  // namespace flashring
