// CheckpointReader: a checkpoint that write_checkpoint made, read on any number of ranks.
#pragma once

#include <memory>
#include <string>

#include "io/checkpoint_file.hpp"
#include "io/checkpoint_seal.hpp"

namespace flashring {

class CheckpointReader {
 public:
  /// Takes `file`, or FILE.previous where that is missing or refused, and checks every byte of it: all ranks read their
  /// share of the large arrays for that. Throws Error (common to all ranks) that says of each file what is wrong: it
  /// cannot be opened, is no checkpoint, is of a newer format, cut off or damaged. Collective. The communicator must
  /// outlive the reader.
  CheckpointReader(const Communicator &communicator, const std::string &file);

  /// The file that was taken.
  const std::string &file() const { return file_; }
  /// Why it is not the one asked for, in words; empty when it is. To be shown to the user.
  const std::string &finding() const { return finding_; }
  const CheckpointState &state() const { return state_; }
  std::int64_t rows() const { return seal_.rows; }
  /// Columns of a large array; -1 when there is none of that name.
  int columns(const std::string &name) const;

  /// This rank's rows of a large array: entry (i, c) to values[c * ld + i], with ld at least the rows of this rank.
  /// Any partition of as many rows. What is read is checked once more. Memory: a buffer of 8 MiB. Throws Error (common
  /// to all ranks) for an unknown name or another number of rows. Collective.
  void read_array(const std::string &name, const RowPartition &partition, double *values, std::int64_t ld) const;

 private:
  void open(const std::string &file);
  const CheckpointRegion *find_region(const std::string &name) const;
  template <class Take>
  void read_region(const CheckpointRegion &region, const RowPartition &partition, Take take) const;

  const Communicator &communicator_;
  std::string file_, finding_;
  std::unique_ptr<FileHandle> handle_;  // a new checkpoint may take the name while this one is read
  CheckpointSeal seal_;
  CheckpointState state_;
};

}  // namespace flashring
