// Transport: how a block moves between ranks. An object with three words: start, test, wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// One message to or from a peer. Messages between the same two ranks match by channel, then by order.
/// Zero bytes are allowed and move nothing (both ends know the size).
struct Message {
  int peer = 0;
  int channel = 0;            ///< 0 <= channel < 16
  std::byte *data = nullptr;  ///< (bytes)
  std::size_t bytes = 0;      ///< any size: the transport cuts it where its library counts in int
  bool on_host = false;       ///< in the host's memory although the transport serves a device
};

/// An exchange that is under way. Buffers belong to the exchange until wait() returned.
class Exchange {
 public:
  virtual ~Exchange() = default;
  /// Lets the library progress; true when everything has arrived. Called between tiles by the thread that made it.
  virtual bool test() = 0;
  /// Blocks until everything has arrived.
  virtual void wait() = 0;
};

/// Moves messages. Several exchanges may be under way at once.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual const char *name() const = 0;
  virtual std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) = 0;
  /// Exchanges are queued on a device: they begin after what its queue holds at `start`, and `wait` makes that queue
  /// wait, not the host.
  virtual bool queues_on_device() const { return false; }
  /// The host waits until everything that was started has arrived. Throws Error when a peer is lost.
  virtual void settle() {}
  /// Gives up what is under way, after an error of this rank or of all: nothing can be started any more.
  virtual void abandon() {}
};

struct TransportOptions {
  /// A message that may go and does not arrive for so long has a peer that is lost. Only nccl counts it; under MPI a
  /// lost rank ends the job.
  std::chrono::seconds patience{600};
  /// Of a transport that serves a device: some messages are in the host's memory. nccl has no such messages.
  bool host_messages = false;
};

/// `name`: "auto" (the one that fits the communicator and, for a device, who uses which) or one of transport_names().
/// Throws Error for another name, or one that cannot serve this communicator. The communicator must outlive the
/// transport. `device`: whose memory the messages are in, null for the host's; a transport of the host then copies them
/// there and back.
std::unique_ptr<Transport> make_transport(std::string_view name, const Communicator &communicator,
                                          const Device *device = nullptr, const TransportOptions &options = {});

/// Names this build knows: self, mpi, nccl.
std::vector<std::string_view> transport_names();

}  // namespace flashring
