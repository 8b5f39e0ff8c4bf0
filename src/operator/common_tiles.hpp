// What all ranks that work on one set of tiles have in common: backend, transport, how blocks move.
#pragma once

#include <memory>

#include "flashring/check.hpp"
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

/// Throws Error where the backend has no kernels for the pair function at points of so many features.
inline void check_pair(const Backend &backend, const PairFunction &pair, int features) {
  const TileShape shape{pair, RowKind::sum, 0, Precision::fp64, features, 1, {}};
  FLASHRING_CHECK(backend.supports(shape), "-backend ", backend.name, " has no kernels for -pair ", to_string(pair),
                  " at points of ", features, " features; -backend simd and ref have",
                  point_scale(pair.kind) == PointScale::covariance
                      ? detail::concatenate(" them for up to ", most_covariance_features, " features")
                      : std::string(" them"));
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
