// What all ranks that work on one set of tiles have in common: backend, transport, how blocks move.
#pragma once

#include <memory>

#include "flashring/devices.hpp"
#include "flashring/options.hpp"
#include "flashring/summation.hpp"

namespace flashring {

/// As the options say; `threads` and what is auto are resolved.
inline TilesOptions tiles_options(const OperatorOptions &options) {
  return {options.backend,
          options.transport,
          {options.threads, options.route == "travel" ? Route::travel : Route::direct},
          options.share_devices,
          options.exchange == "resident",
          options.points_memory == "host" ? PointsMemory::host : PointsMemory::device,
          options.patience};
}

/// Throws Error on every rank where ranks name different ones, or share a GPU unasked. Collective.
inline const Backend &checked_backend(const Communicator &communicator, const TilesOptions &options) {
  const Backend &backend = common_backend(communicator, options.backend);
  if (backend.device != nullptr && !options.share_devices) check_devices(communicator, *backend.device);
  return backend;
}

/// Collective.
inline std::unique_ptr<Transport> common_transport(const Communicator &communicator, const TilesOptions &options,
                                                   const Device *device) {
  TransportOptions how;
  how.patience = options.patience;
  how.host_messages = device != nullptr && options.points == PointsMemory::host;
  std::unique_ptr<Transport> transport;
  communicator.agree([&] { transport = make_transport(options.transport, communicator, device, how); });
  return transport;
}

}  // namespace flashring
