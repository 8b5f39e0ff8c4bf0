// BlockCheckpoint: the state of a block Krylov solver in files, and back.
#pragma once

#include <slepceps.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "io/checkpoint_reader.hpp"
#include "solve/block_state.hpp"

namespace flashring {

struct BlockKrylovSchur;

class BlockCheckpoint {
 public:
  /// Writes nothing where solver.checkpoint.file is empty; else the name is this run's until the object ends.
  /// Collective.
  BlockCheckpoint(EPS eps, BlockKrylovSchur &solver);
  BlockCheckpoint(const BlockCheckpoint &) = delete;
  BlockCheckpoint &operator=(const BlockCheckpoint &) = delete;
  ~BlockCheckpoint();

  /// Whether the time has come, by the clock of the first rank. Collective.
  bool due() const;
  /// Writes the state, with the basis V and the next block X. A file that cannot be written is a finding of the solver,
  /// which goes on; the earlier checkpoints are still there. Collective.
  void write(const BlockState &state, BV V, BV X);

 private:
  using Clock = std::chrono::steady_clock;

  EPS eps_;
  BlockKrylovSchur &solver_;
  Clock::time_point last_ = Clock::now();
};

/// Claims solver.checkpoint.file, where there is one and this run has not. Collective. Throws Error.
void claim_checkpoint(EPS eps, BlockKrylovSchur &solver);

/// Claims solver.checkpoint.file, which is tried to be written, and opens solver.checkpoint.restart. Collective.
void prepare_checkpoints(EPS eps, BlockKrylovSchur &solver);

/// Compares what must agree with solver.checkpoint.reader, takes the size of the basis from it, and the normalisation
/// of a kernel operator. Returns the block size. Collective. Throws Error that names the difference.
PetscInt open_checkpoint(EPS eps, BlockKrylovSchur &solver);

/// The first columns of a BV from an array of the checkpoint that is open. Collective.
void read_columns(EPS eps, BlockKrylovSchur &solver, const std::string &name, BV to);

}  // namespace flashring
