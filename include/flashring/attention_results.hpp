// Results of attention, and the files they become.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "flashring/attention.hpp"
#include "flashring/results.hpp"
#include "flashring/run_folder.hpp"
#include "flashring/threshold_rows.hpp"

namespace flashring {

/// An array whose rows lie on the ranks along one axis. Values belong to the caller.
struct ResultArray {
  const char *file;                ///< one of run_files
  std::vector<std::int64_t> axes;  ///< of all ranks
  std::size_t axis = 0;            ///< that of the rows; those after it belong to a row
  Storage storage = Storage::fp32;
  std::span<const std::byte> values;  // (product of the axes before, local rows, product of those after)
  RowPartition rows;
};

/// What was computed, and how long it took.
struct AttentionFacts {
  AttentionShape shape;
  Storage storage = Storage::fp32;
  std::string op = {};  ///< what made weights of scores
  bool causal = false, padded = false;
  std::vector<double> forward_seconds, backward_seconds;  ///< of each repeat, on the slowest rank; empty: not run
  AttentionReport forward = {}, backward = {};            ///< of the last calls
};

/// Of the pairs of tiles of all passes of a threshold, those that were visited. 1 of softmax.
double visited_share(const AttentionReport &report);

/// Floating-point operations of the products of a forward (or backward) pass, masked pairs counted:
/// 2 B H N_q N_k (D + D_v), and 2 B H N_q N_k (3 D + 2 D_v).
double attention_flops(const AttentionShape &shape, bool backward);

/// Numbers that every rank has, as an array that rank 0 writes.
ResultArray common_array(const Communicator &communicator, const char *file, std::span<const double> numbers);

/// All arrays as NPY, and report.json, into a folder that was made before the computation, as docs/files.md specifies
/// them; all take their names together. `report`: seconds_total up to here. Collective; an Error is common to all
/// ranks.
void write_attention(const Communicator &communicator, RunFolder &folder, const std::vector<ResultArray> &arrays,
                     const AttentionFacts &facts, Report report);

/// The same of rows of scores that were given.
struct RowsFacts {
  std::vector<std::int64_t> axes;  ///< of the scores
  std::size_t axis = 0;            ///< along which a row lies
  Storage storage = Storage::fp32;
  std::string op = {};  ///< what made weights of scores
  std::vector<double> forward_seconds, backward_seconds;
  ThresholdMetrics metrics;  ///< of the last call
};
void write_rows(const Communicator &communicator, RunFolder &folder, const std::vector<ResultArray> &arrays,
                const RowsFacts &facts, Report report);

/// A line of JSON with the metrics of a call ("forward", "backward"); what was not measured is null.
std::string metrics_line(const std::string &call, const ThresholdMetrics &metrics);
/// The same of a call over tiles, with its passes and tiles.
std::string metrics_line(const std::string &call, const ThresholdMetrics &metrics, const AttentionReport &report);
/// Rank 0 writes the lines so far into the file, whole. Collective; an Error is common to all ranks.
void write_monitor(const Communicator &communicator, const std::string &file, const std::string &lines);

}  // namespace flashring
