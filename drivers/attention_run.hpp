// The two runs of flashring-attention: of queries, keys and values, and of scores that are given.
#pragma once

#include "driver.hpp"
#include "flashring/attention_files.hpp"
#include "flashring/threshold_rows.hpp"

namespace flashring {

struct AttentionSettings {
  OperatorOptions op;
  AttentionFiles files;
  AttentionOptions attention;
  ThresholdRowsOptions rows;  ///< of scores that are given; without parameters
  std::string scores;         ///< their file; empty: queries, keys and values are given
  std::string alpha;          ///< as the user typed it; empty: not given
  std::string monitor;        ///< file of metrics; empty: none
  int dim = -1;               ///< axis along which a row of scores lies, counted from the end where negative
  std::int64_t repeats = 1;
};

/// O = P V and its gradients, from files to files. Returns an exit code. Collective.
int run_attention(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings);

/// The same of the weights of rows of scores that are given. Every rank has a part of every row.
int run_scores(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings);

}  // namespace flashring
