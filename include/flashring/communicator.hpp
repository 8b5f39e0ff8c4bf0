// Communicator: who takes part, and the small collective words that set-up needs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace flashring {

/// The group of processes of one operator. Every call below but rank(), size() and abort() is collective.
/// Blocks of points are not moved here: that is Transport.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// In place, the same result on every rank.
  virtual void sum(std::span<double> values) const = 0;
  virtual void sum(std::span<std::int64_t> values) const = 0;
  virtual void max(std::span<double> values) const = 0;
  /// Whether any rank says that it failed. Throws Error on a rank that says so where the others do not come within the
  /// communicator's patience: they hang, and nobody can be told.
  virtual bool any(bool failed) const;
  virtual void broadcast(std::span<std::byte> bytes, int root) const = 0;
  /// Every rank's bytes, one after the other in rank order, on every rank.
  virtual std::vector<std::byte> gather(std::span<const std::byte> bytes) const = 0;
  /// Ends every process of the job; for errors that the other ranks cannot be told of.
  [[noreturn]] virtual void abort(int exit_code) const = 0;

  double sum(double value) const;
  std::int64_t sum(std::int64_t value) const;
  double max(double value) const;
  double min(double value) const;
  std::vector<std::string> gather(const std::string &text) const;

  /// Runs `work`, which may throw on some ranks only, and makes the outcome common: if any rank threw, every rank
  /// throws an Error whose message is that of the lowest such rank, preceded by "rank R: ". Where the others do not
  /// come in time (any()), a rank that threw throws its own message with that finding, as an Error that is not common.
  void agree(const std::function<void()> &work) const;
};

/// One process, no MPI.
std::unique_ptr<Communicator> make_self_communicator();

/// `size` processes that share a file system and nothing else, started by a script, each with its own rank: what they
/// say to each other are small files in `folder`, which exists and is empty at first, and is the script's to remove. A
/// rank that is not there within `patience_seconds` of another one's wait, or that aborted, ends the wait of all others
/// with an Error that names it. Throws Error for a folder that was used before. Collective.
std::unique_ptr<Communicator> make_file_communicator(const std::string &folder, int rank, int size,
                                                     double patience_seconds = 600);

}  // namespace flashring
