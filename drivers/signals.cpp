#include "signals.hpp"

#include <array>
#include <csignal>

namespace flashring {
namespace {

constexpr std::array<int, 3> signals{SIGINT, SIGTERM, SIGUSR1};

volatile std::sig_atomic_t asked_to_stop = 0;
std::array<struct sigaction, signals.size()> before{};

void remember(int /*signal*/) { asked_to_stop = 1; }

}  // namespace

StopSignals::StopSignals() {
  asked_to_stop = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);  // reads go on; the second signal is the system's
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &action, &before[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &before[i], nullptr);
}

bool StopSignals::asked() { return asked_to_stop != 0; }

}  // namespace flashring
