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
double value_after(const char *file, const std::string &key) {
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
double number_in(const char *file) {
  std::ifstream stream(file);
  double value = 0;
  return stream >> value ? value : unlimited;
}

/// Free memory of the control group; its page cache can be given back, so it counts as free.
double free_in_control_group() {
  const double v2 = number_in("/sys/fs/cgroup/memory.max") - number_in("/sys/fs/cgroup/memory.current") +
                    std::min(value_after("/sys/fs/cgroup/memory.stat", "inactive_file"), 1e18);
  const double v1 = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes") -
                    number_in("/sys/fs/cgroup/memory/memory.usage_in_bytes") +
                    std::min(value_after("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"), 1e18);
  // inf - inf, where there are no such files, is not a number: no limit.
  const auto free = [](double bytes) { return std::isnan(bytes) ? unlimited : std::max(0.0, bytes); };
  return std::min(free(v2), free(v1));
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
  const auto sharing = static_cast<double>(ranks_on_this_machine(communicator));
  const std::array<double, 3> here{1024 * value_after("/proc/meminfo", "MemAvailable:") / sharing,
                                   free_in_control_group() / sharing, free_in_process()};
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
