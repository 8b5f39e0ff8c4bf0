#include "flashring/memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/threads.hpp"

namespace flashring {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

/// Number after `key` in a file of lines "key value"; infinity where there is none.
double value_after(const std::string &file, const std::string &key) {
  std::ifstream lines(file);
  std::string word;
  while (lines >> word) {
    if (word != key) continue;
    double value = 0;
    return lines >> value ? value : unlimited;
  }
  return unlimited;
}

/// The first word of a file as a number; infinity for "max" and where there is none.
double number_in(const std::string &file) {
  std::ifstream stream(file);
  double value = 0;
  return stream >> value ? value : unlimited;
}

/// Free memory of a control group by three files in its folder: its limit, what it uses, and the part of that which is
/// page cache and can be given back. Unlimited where there are no such files.
double free_in_group(const std::string &folder, const char *limit, const char *used, const char *cache) {
  const double free = number_in(folder + limit) - number_in(folder + used) +
                      std::min(value_after(folder + "/memory.stat", cache), 1e18);
  return std::isnan(free) ? unlimited : std::max(0.0, free);  // inf - inf: nothing was found
}

/// The least of this process's control group and the groups above it, each of which may have a limit.
double free_in_control_groups() {
  double least = unlimited;
  std::ifstream groups("/proc/self/cgroup");  // lines "0::/path" (version 2) and "4:memory:/path" (version 1)
  for (std::string line; std::getline(groups, line);) {
    const std::size_t colon = line.find(':', line.find(':') + 1);
    if (colon == std::string::npos) continue;
    const bool v2 = line.starts_with("0::");
    if (!v2 && line.find(":memory:") == std::string::npos) continue;
    std::string path = line.substr(colon + 1);
    if (path == "/") path.clear();
    while (true) {  // in a container the path may be one of the host: then only the root is there
      const std::string folder = (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory") + path;
      least = std::min(
          least, v2 ? free_in_group(folder, "/memory.max", "/memory.current", "inactive_file")
                    : free_in_group(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"));
      if (path.empty()) break;
      path.resize(path.rfind('/'));
    }
  }
  return least;
}

/// What the process may still map.
double free_in_process() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
  const double mapped = number_in("/proc/self/statm") * static_cast<double>(sysconf(_SC_PAGESIZE));
  return std::max(0.0, static_cast<double>(limit.rlim_cur) - mapped);
}

}  // namespace

MemoryRoom memory_room(const Communicator &communicator) {
  const auto sharing = static_cast<double>(rank_on_machine(communicator).ranks);
  const std::array<double, 3> here{1024 * value_after("/proc/meminfo", "MemAvailable:") / sharing,
                                   free_in_control_groups() / sharing, free_in_process()};
  static constexpr std::array<const char *, 3> names{"the machine", "its control group", "ulimit -v"};
  MemoryRoom room{unlimited, names[0]};
  for (std::size_t i = 0; i < here.size(); ++i) {
    const double least = communicator.min(here[i]);
    if (least < room.bytes) room = {least, names[i]};
  }
  return room;
}

double resident_bytes() {
  std::ifstream stream("/proc/self/statm");
  double mapped = 0;
  double resident = 0;
  stream >> mapped >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace flashring
