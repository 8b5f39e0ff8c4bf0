// How long a pass of a ring takes beside what its parts take alone: is the moving of blocks hidden behind the
// computing?
//
//   both     seconds of a pass
//   compute  of the same pass in which no message goes: blocks that came before are evaluated again. Ranks compute at
//            the same time, so that those which share a GPU share it here, too
//   moving   of the same messages without a pass
//   model    sum over the steps of max(compute, moving), each total cut by the pairs and the bytes of a step, and the
//            last sums on their way home
//   timeline when each exchange of a pass began, and for how long the queue of the device then had nothing to do but to
//            wait for it
//
// Without what the ranks' agreement at the end of a pass takes: where communicators are files it is longer than a pass.
#pragma once

#include <vector>

#include "gpu/ring_problem.hpp"

namespace flashring::test {

/// What one rank does in a pass.
struct RingLoad {
  std::vector<double> pairs;  // (steps) pairs of points evaluated
  std::vector<double> bytes;  // (steps + 1) sent or received, whichever is more; the last when all steps are done
};

/// One exchange of a pass, as the ring asked for it.
struct Recorded {
  std::vector<Message> sends, receives;
};

/// From the exchanges in the order of their start.
RingLoad load_of(std::vector<double> pairs, const std::vector<Recorded> &recorded);

/// One exchange of a pass on the queue of the device: seconds since the first one began.
struct ExchangeTime {
  bool block = true;   ///< else a state
  double start = 0;    ///< what is sent is ready
  double reached = 0;  ///< what is computed meanwhile is done
  double arrived = 0;  ///< the message is here; computing goes on
  double waited() const { return arrived - reached; }
};

/// The model above.
double modelled_seconds(const RingLoad &load, double compute, double moving);

struct RingTimes {
  double both = 0;  ///< seconds, of the slowest rank
  double compute = 0;
  double moving = 0;
  double model = 0;
  double pairs = 0;                    ///< of all ranks
  double bytes = 0;                    ///< of the rank that moves most
  std::vector<ExchangeTime> timeline;  ///< of a pass of this rank, in the order of the starts
  double waited = 0;                   ///< seconds of the timeline in which this rank only waited
  /// Measured over model, or the reverse where that is larger: 1 is the model itself; 0: there is none.
  double misfit() const;
  /// Which part of the shorter of compute and moving ran beside the longer one, from 0 to 1.
  double hidden() const;
};

/// Medians over some passes. Collective.
RingTimes measure_ring(const RingProblem &problem, const Backend &backend, const Communicator &communicator,
                       Transport &transport);

}  // namespace flashring::test
