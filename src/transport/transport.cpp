// The list of transports.
#include "flashring/transport.hpp"

#include <algorithm>
#include <iterator>

#include "base/parse.hpp"
#include "flashring/check.hpp"

namespace flashring {

#define FLASHRING_TRANSPORT(name)                                                                            \
  std::unique_ptr<Transport> make_##name##_transport(const Communicator &communicator, const Device *device, \
                                                     const TransportOptions &options);
#include "flashring/transport_list.inc"
#undef FLASHRING_TRANSPORT

std::unique_ptr<Transport> make_staged_transport(std::unique_ptr<Transport> inner, const Device &device);

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Transport> (*make)(const Communicator &, const Device *, const TransportOptions &);
};

constexpr Entry entries[] = {
#define FLASHRING_TRANSPORT(name) {#name, make_##name##_transport},
#include "flashring/transport_list.inc"
#undef FLASHRING_TRANSPORT
};

bool known(std::string_view name) {
  return std::any_of(std::begin(entries), std::end(entries), [&](const Entry &entry) { return entry.name == name; });
}

/// NCCL takes one rank for each GPU of a machine.
bool shared_by_ranks(const Communicator &communicator, const Device &device) {
  std::vector<std::string> names = communicator.gather(std::string(device.identity()));
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

/// What auto is. Collective.
std::string_view fitting(const Communicator &communicator, const Device *device, const TransportOptions &options) {
  if (communicator.size() == 1) return "self";
  const bool shared = device != nullptr && shared_by_ranks(communicator, *device);  // asked on every rank
  const bool on_gpus = device != nullptr && device->queue() != nullptr && known("nccl") && !options.host_messages;
  if (on_gpus && !shared) return "nccl";
  FLASHRING_CHECK(known("mpi"), "-transport auto: ", communicator.size(), " ranks ", on_gpus ? "that share a GPU " : "",
                  "need transport mpi, which this build lacks (FLASHRING_WITH_MPI)");
  return "mpi";
}

}  // namespace

std::vector<std::string_view> transport_names() {
  std::vector<std::string_view> names;
  for (const Entry &entry : entries) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Transport> make_transport(std::string_view name, const Communicator &communicator, const Device *device,
                                          const TransportOptions &options) {
  const std::string_view wanted = name == "auto" ? fitting(communicator, device, options) : name;
  for (const Entry &entry : entries) {
    if (entry.name != wanted) continue;
    std::unique_ptr<Transport> made = entry.make(communicator, device, options);
    if (device == nullptr || made->queues_on_device()) return made;
    return make_staged_transport(std::move(made), *device);
  }
  throw Error(detail::concatenate("-transport: '", name, "' is unknown; known are auto, ", join(transport_names())));
}

}  // namespace flashring
