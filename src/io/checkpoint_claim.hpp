// CheckpointClaim: the name of a checkpoint belongs to one run at a time; a second one would replace its files.
#pragma once

#include <memory>
#include <string>

#include "flashring/communicator.hpp"

namespace flashring {

/// Signs of life of a run, seconds.
struct ClaimTimes {
  double between = 5;  ///< two of them
  double watch = 20;   ///< without one: the run has ended
};

/// FILE.owner: host, process and time of the run that writes FILE, there as long as the object is. Held by a lock and,
/// where file systems have none that all machines see, by signs of life. What a dead run left is replaced: at once
/// where it ran on this machine, after times.watch seconds where it ran on another.
class CheckpointClaim {
 public:
  /// To be made before a long computation. Throws Error, common to all ranks, where FILE cannot take checkpoints (its
  /// folder takes no file, FILE or FILE.previous is something else, which a checkpoint would replace), and where
  /// another run is writing them. Collective.
  CheckpointClaim(const Communicator &communicator, const std::string &file, const ClaimTimes &times = {});
  CheckpointClaim(const CheckpointClaim &) = delete;
  CheckpointClaim &operator=(const CheckpointClaim &) = delete;
  ~CheckpointClaim();

  /// Throws Error, on rank 0, where the name was taken by another run meanwhile: this one had been stopped for long.
  void check() const;

 private:
  class Owner;
  std::unique_ptr<Owner> owner_;  // on rank 0
};

}  // namespace flashring
