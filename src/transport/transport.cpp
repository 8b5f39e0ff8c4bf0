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

}  // namespace

std::vector<std::string_view> transport_names() {
  std::vector<std::string_view> names;
  for (const Entry &entry : entries) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Transport> make_transport(std::string_view name, const Communicator &communicator, const Device *device,
                                          const TransportOptions &options) {
  const bool queues = device != nullptr && device->queue() != nullptr && known("nccl") && !options.host_messages;
  const std::string_view between = queues ? "nccl" : "mpi";
  const std::string_view wanted = name != "auto" ? name : communicator.size() == 1 ? "self" : between;
  for (const Entry &entry : entries) {
    if (entry.name != wanted) continue;
    std::unique_ptr<Transport> made = entry.make(communicator, device, options);
    if (device == nullptr || made->queues_on_device()) return made;
    return make_staged_transport(std::move(made), *device);
  }
  throw Error(detail::concatenate("-transport: '", name, "' is unknown; known are auto, ", join(transport_names())));
}

}  // namespace flashring
