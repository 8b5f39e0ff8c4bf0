// The run of flashring-attention, from queries, keys and values to outputs and gradients.
#pragma once

#include "driver.hpp"
#include "flashring/attention_files.hpp"

namespace flashring {

struct AttentionSettings {
  OperatorOptions op;
  AttentionFiles files;
  AttentionOptions attention;
  std::int64_t repeats = 1;
};

/// O = P V and its gradients, from files to files. Returns an exit code. Collective.
int run_attention(const Communicator &communicator, const DriverOptions &options, const AttentionSettings &settings);

}  // namespace flashring
