// The list of backends, in the order in which "auto" falls back: the last one that runs here is the fastest.
#include <array>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/tile.hpp"

#define FLASHRING_BACKEND(name)             \
  namespace flashring::name {               \
  const Backend *open(const char *ceiling); \
  std::vector<std::string> ceilings();      \
  }
#include "flashring/backend_list.inc"
#undef FLASHRING_BACKEND

namespace flashring {
namespace {

struct Entry {
  std::string_view name;
  const Backend *(*open)(const char *);
  std::vector<std::string> (*ceilings)();
};

constexpr Entry entries[] = {
#define FLASHRING_BACKEND(name) {#name, name::open, name::ceilings},
#include "flashring/backend_list.inc"
#undef FLASHRING_BACKEND
};

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Entry &entry : entries) {
    if (entry.open("") != nullptr) names.emplace_back(entry.name);
    for (const std::string &ceiling : entry.ceilings()) names.push_back(std::string(entry.name) + ":" + ceiling);
  }
  return names;
}

const Backend &find_backend(std::string_view name) {
  const std::size_t colon = name.find(':');
  const std::string ceiling(colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1));
  const Backend *found = nullptr;
  for (const Entry &entry : entries) {
    if (name != "auto" && name.substr(0, colon) != entry.name) continue;
    const Backend *table = entry.open(ceiling.c_str());
    if (table != nullptr) found = table;
  }
  FLASHRING_CHECK(found != nullptr, "-backend: '", name, "' is unknown or cannot run on this machine; known here are ",
                  "auto, ", join(backend_names()));
  return *found;
}

}  // namespace flashring
