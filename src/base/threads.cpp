#include "base/threads.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace flashring {
namespace {

std::string host_name() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return host.data();
}

int ranks_alike(const std::string &place, const Communicator &communicator) {
  const auto places = communicator.gather(place);
  return static_cast<int>(std::count(places.begin(), places.end(), place));
}

}  // namespace

int ranks_on_this_machine(const Communicator &communicator) { return ranks_alike(host_name(), communicator); }

int choose_threads(int asked, const Communicator &communicator) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const bool known = sched_getaffinity(0, sizeof(mask), &mask) == 0;
  // Ranks with the same cores on the same machine share them; a rank bound to cores of its own shares with nobody.
  std::string place = host_name();
  for (int core = 0; known && core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &mask)) place += "," + std::to_string(core);
  const int sharing = ranks_alike(place, communicator);
  if (asked > 0) return asked;
  return known ? std::max(1, CPU_COUNT(&mask) / sharing) : 1;
}

}  // namespace flashring
