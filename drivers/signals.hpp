// StopSignals: Ctrl-C and what batch systems send ask a driver to end; the next pass asks here.
#pragma once

namespace flashring {

/// While it lives, the first SIGINT, SIGTERM or SIGUSR1 is remembered; a second one of the same kind ends the process
/// as if nobody listened. One object at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals &) = delete;
  StopSignals &operator=(const StopSignals &) = delete;

  /// This process was asked to end.
  static bool asked();
};

}  // namespace flashring
