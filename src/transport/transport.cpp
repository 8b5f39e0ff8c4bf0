// The list of transports.
#include "flashring/transport.hpp"

#include "base/parse.hpp"
#include "flashring/check.hpp"

namespace flashring {

#define FLASHRING_TRANSPORT(name) std::unique_ptr<Transport> make_##name##_transport(const Communicator &communicator);
#include "flashring/transport_list.inc"
#undef FLASHRING_TRANSPORT

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Transport> (*make)(const Communicator &);
};

constexpr Entry entries[] = {
#define FLASHRING_TRANSPORT(name) {#name, make_##name##_transport},
#include "flashring/transport_list.inc"
#undef FLASHRING_TRANSPORT
};

}  // namespace

std::vector<std::string_view> transport_names() {
  std::vector<std::string_view> names;
  for (const Entry &entry : entries) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Transport> make_transport(std::string_view name, const Communicator &communicator) {
  const std::string_view wanted = name != "auto" ? name : communicator.size() == 1 ? "self" : "mpi";
  for (const Entry &entry : entries)
    if (entry.name == wanted) return entry.make(communicator);
  throw Error(detail::concatenate("-transport: '", name, "' is unknown; known are auto, ", join(transport_names())));
}

}  // namespace flashring
