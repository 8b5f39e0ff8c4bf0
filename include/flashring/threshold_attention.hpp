// Attention whose rows are normalised by a threshold (diffmax, entmax, sparsemax), O = P V, over tiles: scores are
// never stored. Of row i with scores x_ij = ln k_ij + g_j (g: log weight of a source, 0 or -infinity):
//   d_ij = s_i (x_ij - max_j x_ij) - t_i,   y = [1 + d]_+,   p_ij = y^e_i,   u_ij = y^(e_i - 1),   sum_j p_ij = 1
//   o_i = sum_j p_ij v_j,   o2_i = sum_j u_ij v_j / sum_j u_ij
// t in [0, 1 - n^(-1/e)] is found by passes over all pairs: largest score and a histogram of absolute bins, then a list
// of the scores that may have a weight where these are few, or steps on (sum p)^(1/e) - 1, convex and falling. A pass
// writes down which pairs of tiles hold a score above the left ends of its rows; later passes visit those alone, and
// give the same bits as if they visited all. Sources: Peters, Niculae, Martins, ACL 2019 (entmax); docs/mathematics.md.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/ring.hpp"
#include "flashring/tile_block.hpp"

namespace flashring {

/// Numbers of the local rows of the own side, and how passes are made.
struct ThresholdRequest {
  std::span<const double> s;                      // (local rows) in [1e-30, 1e30], in fp64 [1e-300, 1e300]
  std::span<const double> e_minus_1;              // (local rows) >= 0
  bool second = false;                            ///< o2 too, for a gradient
  bool ensure_sum_one = true;                     ///< o is divided by sum p, which is 1 up to `sum_error`
  bool skip = true;                               ///< leave out pairs of tiles without a weight
  const TileBits *kept = nullptr;                 ///< pairs of tiles that hold a source; null: all may
  std::function<std::string(LocalRow)> describe;  ///< a row for messages; empty: by its local number
  int bins = 32;                                  ///< of a histogram of scores, at most 64
};

/// Scores of a row that are listed at most: eight bytes each, as much as the row's values and sums take with 64
/// columns.
constexpr int most_listed = 128;

/// What a gradient needs of the forward pass. (local rows) each.
struct RowThresholds {
  std::vector<double> row_maximum;  ///< max_j x_ij; -infinity where the row sees no source
  std::vector<double> t;            ///< 0 there
  std::vector<double> u_sum;        ///< sum_j u_ij; 0 there
  TileBits tiles;                   ///< pairs of tiles that hold all weights; empty without `skip`
};

/// Over all ranks, but for `pass`, which is this rank's.
struct ThresholdReport {
  PassReport pass;           ///< of all passes
  int passes = 0;            ///< over pairs of tiles: histogram, lists or steps, output
  int iterations = 0;        ///< lists and steps
  double sum_error = 0;      ///< largest |sum p - 1| of a row, before ensure_sum_one
  double tiles_visited = 0;  ///< pairs of tiles, all passes
  double tiles_skipped = 0;
};

struct ThresholdResult {
  RowThresholds rows;
  ThresholdReport report;
};

/// Whether the backend has the row rules: ref and simd have.
bool folds_thresholds(const Backend &backend, TileShape shape);

/// Finds t and hands over the output: `take` gets c answers o, and c more o2 with request.second, of some rows at a
/// time, by the ring's threads at once; c = shape.columns may be 0. Both blocks are packed in shape.precision;
/// `sources` carries its log weights as pass scalar and v as c columns, which stay; the pass scalars of `own` are
/// overwritten; shape.row is not read. The sum of p is 1 to 2^-20 in fp32 and reduced precision and to 2^-46 in fp64
/// where rounding allows it. Without `take` the sums stay in the states of `own`, those of power_sums or with
/// request.second of threshold_sum, not divided. A row without a source gives zeros. Features must be finite. Throws
/// Error that names the row where the largest score is not a finite number, and for a backend without the rules.
/// Collective.
ThresholdResult threshold_attention(const Communicator &communicator, Ring &ring, TileShape shape, TileBlock &own,
                                    TileBlock &sources, const ThresholdRequest &request, const AnswerReader &take);

/// One pass for the gradients, with what the forward pass left. Both blocks carry columns as row rule
/// threshold_gradient has them: `own` [q | dO], `sources` [k | v], shape.columns = d + c; `sources` its log weights.
/// The pass scalars of `own` are overwritten. delta_i = <dO_i, o2_i>. Afterwards the states hold, for finish:
///   own      sum_j dS_ij k_j, c zeros, and sum_j r_ij (dP_ij - delta_i) of the scales tsallis (entmax: its negative),
///            none, porous, which is the derivative to alpha
///   sources  sum_i dS_ij q_i, then sum_i p_ij dO_i, three zeros
/// with dP = dO V^T and dS = s e u (dP - delta): the gradient of the scores. The division of ensure_sum_one is not
/// derived. Collective.
PassReport threshold_gradient(const Communicator &communicator, Ring &ring, TileShape shape, TileBlock &own,
                              TileBlock &sources, const ThresholdRequest &request, const RowThresholds &rows,
                              std::span<const double> delta);

}  // namespace flashring
