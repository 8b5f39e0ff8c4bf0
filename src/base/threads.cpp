#include "base/threads.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

namespace flashring {

int choose_threads(int asked, const Communicator &communicator) {
  const int sharing = communicator.ranks_on_node();
  if (asked > 0) return asked;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  const int cores = CPU_COUNT(&mask);
  const bool bound = cores < sysconf(_SC_NPROCESSORS_ONLN);
  return std::max(1, bound ? cores : cores / sharing);
}

}  // namespace flashring
