// Nystrom start: approximate leading eigenvectors of a diffusion operator from a few of its points.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flashring/kernel_operator.hpp"
#include "flashring/plan.hpp"

namespace flashring {

struct NystromOptions {
  std::string landmarks = "kmeans++";  ///< uniform, kmeans++, leverage; none: no start
  int count = 0;                       ///< landmarks m >= 0, at most N are taken; 0: chosen, see nystrom_landmarks
  std::uint64_t seed = 1;              ///< of what is drawn: the same landmarks for any number of ranks
};

/// Landmarks that are taken where none are asked for: max(400, 4 columns), at most N/8,and not so many that an
/// eigenproblem of theirs takes longer than some passes. 0 where that leaves fewer than two for a column: so few points
/// are solved sooner than started.
std::int64_t nystrom_landmarks(std::int64_t rows, int columns);

/// What a start takes of memory beside the operator, on the rank with most rows; nothing where there is none.
std::vector<MemoryPart> nystrom_memory(const NystromOptions &options, const PairFunction &pair, PointShape shape,
                                       int ranks, int columns);

/// Throws Error for an unknown rule or a negative number.
void check_nystrom(const NystromOptions &options);

/// Unit columns near the leading `columns` >= 1 eigenvectors of `op`, which has form symmetric:
/// (local_rows, k) column-major. k is smaller where landmarks are few or the kernel matrix among them has a small
/// numerical rank, and 0 where no start is asked for or worth its cost. Takes the set-up passes where they were not
/// made, and m/N of the pairs of points that N^2 are (counters().landmarks), in fp64; for leverage m/64 times as many.
/// Collective. Throws Error, Interrupted.
std::vector<double> nystrom_start(KernelOperator &op, const NystromOptions &options, int columns);

}  // namespace flashring
