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

RankOnMachine rank_on_machine(const Communicator &communicator, const std::string &place) {
  RankOnMachine here{host_name(), 0, 0};
  const std::string mine = here.machine + " " + place;
  const auto all = communicator.gather(mine);
  for (int r = 0; r < communicator.size(); ++r) {
    if (all[static_cast<std::size_t>(r)] != mine) continue;
    if (r < communicator.rank()) ++here.rank;
    ++here.ranks;
  }
  return here;
}

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
