// Sums over all rows by the whole stack (points, TileBlock, Ring, transport) on some ranks, and what backend "ref" on
// one rank says of the same points, with bounds for the arithmetic that is tested. For sizes where the oracle takes too
// long.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flashring/ring.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

struct RingProblem {
  std::string name = "gaussian";  ///< with spread_pair's parameters; not laplacian, whose error has no bound at 0
  RowKind row = RowKind::sum;
  Precision precision = Precision::fp32;
  Sides sides = Sides::both;
  bool square = true;  ///< the block with itself; with one side it meets a copy of itself
  Mask mask;
  int columns = 3;
  int features = 3;
  std::size_t own_rows = 600;
  std::size_t source_rows = 500;
  std::uint64_t seed = 1;  ///< the same on all ranks
  RingOptions options;
  PointsMemory memory = PointsMemory::device;
  int passes = 1;

  TileShape shape() const;
  std::string text() const;
  PointSet own() const;
  PointSet sources() const;
};

struct RingSums {
  std::vector<double> own, visiting;  // (N, outputs) column-major, whole on every rank
  PassReport report;                  ///< of the last pass, on this rank
};

/// The blocks of one rank, and passes over them. The communicator and the transport must outlive it.
class RingRun {
 public:
  /// `magnitudes`: columns without their signs.
  RingRun(const RingProblem &problem, const Backend &backend, const Communicator &communicator, Transport &transport,
          const RowPartition &own_rows, const RowPartition &source_rows, bool magnitudes = false);
  /// Collective, like all below.
  PassReport pass();
  /// Of the last pass, without a report.
  RingSums sums();
  /// Pairs of points that this rank evaluates in each step.
  std::vector<double> pairs_of_steps() const;

 private:
  /// The block with itself.
  bool one_block() const { return problem_.square && problem_.sides == Sides::both; }
  TileBlock &sources() { return one_block() ? own_ : other_; }

  RingProblem problem_;
  const Communicator &communicator_;
  Ring ring_;
  TileBlock own_, other_;
};

/// Collective. `partition` of own and, unless square, of source rows.
RingSums ring_sums(const RingProblem &problem, const Backend &backend, const Communicator &communicator,
                   Transport &transport, const RowPartition &own_rows, const RowPartition &source_rows);
/// With contiguous partitions.
RingSums ring_sums(const RingProblem &problem, const Backend &backend, const Communicator &communicator,
                   Transport &transport);

struct RingAnswer {
  Bounded own, visiting;
};
/// Values by "ref" in fp64 on this process alone, with the problem's threads; asked once for all backends, precisions
/// and routes.
RingAnswer ref_answer(const RingProblem &problem, const Backend &tested);

/// Empty, or the first number outside its bound.
std::string outside(const RingSums &sums, const RingAnswer &answer);
double worst_ratio(const RingSums &sums, const RingAnswer &answer);

}  // namespace flashring::test
