// The list of backends, in the order in which "auto" falls back: the last one that runs here is the fastest.
#include <algorithm>
#include <iterator>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "flashring/tile.hpp"
#include "threshold_kernels.hpp"

#define FLASHRING_BACKEND(name)             \
  namespace flashring::name {               \
  const Backend *open(const char *ceiling); \
  std::vector<std::string> ceilings();      \
  }
#include "flashring/backend_list.inc"
#undef FLASHRING_BACKEND
#define FLASHRING_THRESHOLD_BACKEND(name)                      \
  namespace flashring::name {                                  \
  const ThresholdBackend *open_threshold(const char *ceiling); \
  }
#include "flashring/threshold_backend_list.inc"
#undef FLASHRING_THRESHOLD_BACKEND

namespace flashring {
namespace {

struct Entry {
  std::string_view name;
  const Backend *(*open)(const char *);
  std::vector<std::string> (*ceilings)();  ///< that this machine has; the empty one is the best
};

constexpr Entry entries[] = {
#define FLASHRING_BACKEND(name) {#name, name::open, name::ceilings},
#include "flashring/backend_list.inc"
#undef FLASHRING_BACKEND
};

struct ThresholdEntry {
  std::string_view name;
  const ThresholdBackend *(*open)(const char *);
};

constexpr ThresholdEntry threshold_entries[] = {
#define FLASHRING_THRESHOLD_BACKEND(name) {#name, name::open_threshold},
#include "flashring/threshold_backend_list.inc"
#undef FLASHRING_THRESHOLD_BACKEND
};

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Entry &entry : entries)
    for (const std::string &ceiling : entry.ceilings())
      names.push_back(std::string(entry.name) + (ceiling.empty() ? "" : ":") + ceiling);
  return names;
}

std::vector<std::string> device_backend_names() {
  return {
#define FLASHRING_DEVICE_BACKEND(name) #name,
#include "flashring/device_backend_list.inc"
#undef FLASHRING_DEVICE_BACKEND
  };
}

const Backend &find_backend(std::string_view name) {
  const std::size_t colon = name.find(':');
  const std::string_view word = name.substr(0, colon);
  const std::string ceiling(colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1));
  const std::vector<std::string> of_devices = device_backend_names();
  const auto on_device = [&](std::string_view entry) {
    return std::find(of_devices.begin(), of_devices.end(), entry) != of_devices.end();
  };
  const Backend *found = nullptr;
  // From the last on: "auto" opens no backend that it does not take, since opening may ask the system for something.
  for (std::size_t e = std::size(entries); e-- > 0 && found == nullptr;)
    if (word == "auto" || word == entries[e].name || (word == "cuda" && on_device(entries[e].name)))
      found = entries[e].open(ceiling.c_str());
  if (found != nullptr) return *found;
  std::vector<std::string_view> built_in;
  for (const Entry &entry : entries) built_in.push_back(entry.name);
  throw Error(detail::concatenate("-backend: '", name, "' is unknown or cannot run on this machine (", device_text(),
                                  "); built in are ", join(built_in), "; known here are auto, ",
                                  join(backend_names())));
}

const ThresholdBackend &find_threshold_backend(std::string_view name, MemorySpace memory) {
  const std::size_t colon = name.find(':');
  const std::string_view word = name.substr(0, colon);
  const std::string ceiling(colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1));
  const std::vector<std::string> of_devices = device_backend_names();
  const auto of_device = [&](std::string_view entry) {
    return std::find(of_devices.begin(), of_devices.end(), entry) != of_devices.end();
  };
  const bool device = memory == MemorySpace::device;
  const bool any_device = word == "cuda" || of_device(word);  // all of them have the same kernels of rows
  const ThresholdBackend *found = nullptr;
  std::vector<std::string_view> known;
  for (const ThresholdEntry &entry : threshold_entries) {
    known.push_back(entry.name);
    const bool on_device = of_device(entry.name);
    if (word == entry.name || (word == "auto" && on_device == device) || (any_device && on_device))
      found = entry.open(ceiling.c_str());
  }
  FLASHRING_CHECK(found != nullptr, "-backend: '", name,
                  "' has no kernels for rows of scores or cannot run on this machine",
                  device || any_device ? " (" + device_text() + ")" : "", "; auto, ", join(known), " have them");
  FLASHRING_CHECK(!device || found->device != nullptr, "-backend: '", name,
                  "' reads rows of scores in ordinary memory; take cuda for those in the memory of a device");
  return *found;
}

}  // namespace flashring
