// Row reductions over rectangular sets: any row rule between query rows and source rows, without storing the matrix.
#pragma once

#include <span>
#include <vector>

#include "flashring/points.hpp"
#include "flashring/ring.hpp"

namespace flashring {

/// For every query row i of this rank: log-sum-exp and weighted mean
///   lse_i = ln sum_j exp(l_ij),  l_ij = ln k(q_i, s_j) + g_j,   o_i = sum_j exp(l_ij - lse_i) v_j
/// which is softmax attention for inner_exp. Source: docs/mathematics.md, [7].
struct LogSumExpRequest {
  PairFunction pair;
  Precision precision = Precision::fp64;
  Mask mask;
  std::span<const double> log_weights;  // (source rows of this rank), or empty: g = 0; -inf hides a source
  std::span<const double> values;       // (source rows, columns) column-major
  int columns = 0;
};

/// lse: (query rows); o: (query rows, columns) column-major. A row that sees no source has lse = -inf and o = 0.
struct LogSumExpResult {
  std::vector<double> lse;
  std::vector<double> values;
  PassReport report;
};

/// Collective. Distance kernels are centred by the mean of the sources; inner products are never centred.
LogSumExpResult log_sum_exp(const Communicator &communicator, Transport &transport, const Backend &backend,
                            const RingOptions &options, const PointBlock &queries, const PointBlock &sources,
                            const LogSumExpRequest &request);

/// The same for points that are in tiles, both packed with one mean in shape.precision: shape.row is logsumexp.
/// `sources` carries its log weights and values (set_sources) and nothing of it changes. Collective.
LogSumExpResult log_sum_exp(Ring &ring, const TileShape &shape, TileBlock &queries, TileBlock &sources);

/// Log weights and values of the request to the rows of `sources`. Throws Error where there is no memory.
void set_sources(TileBlock &sources, const LogSumExpRequest &request);

}  // namespace flashring
