// Softmax attention, forward and backward.
//
//   forward   O_i = sum_j exp(x_ij - lse_i) v_j with x_ij = scale <q_i, k_j>: row rule logsumexp of the pair function
//             inner_exp, whose values are those of V
//   backward  row rule softmax_gradient with delta_i = <dO_i, O_i>: what K and V get travels home by the ring's route
//
// Source: Dao et al., arXiv:2205.14135; rings: Liu, Zaharia, Abbeel, arXiv:2310.01889.
#include <algorithm>
#include <tuple>

#include "flashring/check.hpp"
#include "methods/attention_state.hpp"

namespace flashring {

/// Columns of V that one pass carries: all, or halves of them until a backend takes so many.
int Attention::State::value_columns(Storage storage) const {
  int columns = shape.value_width;
  while (columns > 1 && !named().supports(tile_shape(RowKind::logsumexp, storage, columns)))
    columns = (columns + 1) / 2;
  return columns;
}

/// Values of some columns, and the log-sum-exp of all rows.
void Attention::State::finish_softmax(const TileShape &tile, TileBlock &own, const TensorSlice &to,
                                      std::vector<double> &log_sum_exp) const {
  if (place != nullptr) {
    own.finish(tile.row, tile.columns, Columns<double>{log_sum_exp.data(), own.local_rows(), 1});
    return write_answers(own, tile.row, tile.columns, {1, -1, 1}, to);
  }
  own.finish(
      tile.row, tile.columns,
      [&](LocalRow row, std::int64_t count, const double *answers, std::int64_t stride) {
        std::copy_n(answers, count, log_sum_exp.begin() + row.value);
        write_rows(to, row, count, answers + stride, stride, 1);
      },
      report.threads);
}

AttentionSaved Attention::State::forward_softmax(const AttentionInput &input, Tensor o) {
  TileShape tile = forward_tile(input.q.storage);
  const int most = tile.columns;
  AttentionSaved saved;
  TileBlock own;
  TileBlock sources;
  communicator.agree([&] {
    std::tie(own, sources) = pack(tile, input);
    saved.log_sum_exp.resize(static_cast<std::size_t>(own.local_rows()));
  });
  start_report(tile);
  const TileBits kept = pairs_with_keys(input, own, sources);
  for (int first = 0; first < shape.value_width; first += most) {
    tile.columns = std::min(most, shape.value_width - first);
    TensorPart values = key_rows("v", input.v, shape.value_width, input.key_padding);
    values.first = first;
    values.count = tile.columns;
    communicator.agree([&] { set_columns(sources, {values}); });
    run(tile, Sides::own, own, sources, kept);
    finish_softmax(tile, own, {o, shape.value_width, first, tile.columns}, saved.log_sum_exp);
  }
  close_report();
  communicator.agree([&] {
    const auto bad = std::find_if(saved.log_sum_exp.begin(), saved.log_sum_exp.end(),
                                  [](double sum) { return !(sum < std::numeric_limits<double>::infinity()); });
    FLASHRING_CHECK(bad == saved.log_sum_exp.end(), "scores: ",
                    query_rows("q", input.q, shape.width).rows.describe(LocalRow{bad - saved.log_sum_exp.begin()}),
                    " has one that is no finite number; scale q and k down, or give fp64 arrays");
  });
  return saved;
}

void Attention::State::backward_softmax(const Gradients &g) {
  const TileShape tile = backward_tile(g.input.q.storage);
  TileBlock own;
  TileBlock sources;
  communicator.agree([&] {
    std::tie(own, sources) = pack_gradient(tile, g);
    const auto rows = static_cast<std::size_t>(own.local_rows());
    FLASHRING_CHECK(g.saved.log_sum_exp.size() == rows, "saved rows are ", g.saved.log_sum_exp.size(),
                    ", and queries of this rank ", rows, "; give what forward gave for these arrays");
    std::vector<double> of_queries = g.saved.log_sum_exp;  // (rows), then delta
    const std::vector<double> delta = row_products(own, g.d_o, g.o, shape.value_width, place != nullptr);
    of_queries.insert(of_queries.end(), delta.begin(), delta.end());
    own.set_pass_scalars({of_queries.data(), own.local_rows(), 2}, 0);
  });
  start_report(tile);
  run(tile, Sides::both, own, sources, pairs_with_keys(g.input, own, sources));
  close_report();
  write_gradients(tile, own, sources, g);
}

}  // namespace flashring
