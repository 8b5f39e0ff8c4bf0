// Checkpoints: the state of a long computation in one HDF5 file, as docs/files.md specifies it. CheckpointReader
// (io/checkpoint_reader.hpp) reads them, CheckpointClaim (io/checkpoint_claim.hpp) keeps other runs away.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"

namespace flashring {

/// Everything of a checkpoint that is small and the same on every rank. A name stands once among the first three.
struct CheckpointState {
  using Words = std::vector<std::pair<std::string, std::string>>;
  Words identity;  ///< what must agree on restart: name and value in words; read back in the order of names
  std::map<std::string, std::int64_t> integers;
  std::map<std::string, double> reals;
  std::map<std::string, std::vector<double>> arrays;  ///< names without '/'
};

/// This rank's rows of an (N, columns) array, column after column: entry (i, c) is values[c * ld + i]. The values
/// belong to the caller.
struct CheckpointArray {
  std::string name;  ///< without '/' and blanks; not that of a small array
  int columns = 0;
  const double *values = nullptr;
  std::int64_t ld = 0;  ///< at least the rows of this rank
};

/// FILE.previous: the checkpoint before the newest one.
std::string previous_checkpoint(const std::string &file);

/// Throws Error where FILE or FILE.previous is something else than a checkpoint, which one would replace.
void check_replaceable(const std::string &file);

/// Writes FILE.unfinished, all of it to the disk, then renames FILE to FILE.previous and it to FILE. Whatever ends the
/// program meanwhile, one of the two is whole; a damaged FILE does not take the place of FILE.previous. After an
/// Error both are as before and the unfinished one is removed. `state` is rank 0's; `arrays` have the same names and
/// columns on every rank. Memory: a buffer of 8 MiB a rank. Disk: up to three checkpoints at a time. Collective; an
/// Error is common to all ranks.
void write_checkpoint(const Communicator &communicator, const RowPartition &partition, const std::string &file,
                      const CheckpointState &state, const std::vector<CheckpointArray> &arrays);

/// The first differences between the identity in `file` and the one here, in words: "points: A in FILE, B here; ...";
/// empty when they agree.
std::string identity_differences(const std::string &file, const CheckpointState::Words &stored,
                                 const CheckpointState::Words &here);

}  // namespace flashring
