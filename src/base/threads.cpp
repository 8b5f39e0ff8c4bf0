#include "base/threads.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace flashring {

int choose_threads(int asked, const Communicator &communicator) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const bool known = sched_getaffinity(0, sizeof(mask), &mask) == 0;
  // Ranks with the same cores on the same machine share them; a rank bound to cores of its own shares with nobody.
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  std::string place = host.data();
  for (int core = 0; known && core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &mask)) place += "," + std::to_string(core);
  const auto places = communicator.gather(place);
  const auto sharing = static_cast<int>(std::count(places.begin(), places.end(), place));
  if (asked > 0) return asked;
  return known ? std::max(1, CPU_COUNT(&mask) / sharing) : 1;
}

}  // namespace flashring
