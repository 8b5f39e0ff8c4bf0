// Attention of the threshold families, forward and backward: flashring/threshold_attention.hpp on the tiles of all
// sequences, each row with the family of its head.
#include <numeric>
#include <tuple>

#include "flashring/check.hpp"
#include "methods/attention_state.hpp"

namespace flashring {

/// s and e - 1 of the local rows, kept in the arrays given.
ThresholdRequest Attention::State::request(std::vector<double> &s, std::vector<double> &e_minus_1) const {
  const std::int64_t rows = queries.local_rows(rank());
  for (int sequence = 0; sequence < sequences().count; ++sequence) {
    const ThresholdFamily &family = families[static_cast<std::size_t>(sequence % shape.heads)];
    s.insert(s.end(), static_cast<std::size_t>(rows), family.s);
    e_minus_1.insert(e_minus_1.end(), static_cast<std::size_t>(rows), family.e_minus_1);
  }
  ThresholdRequest request;
  request.s = s;
  request.e_minus_1 = e_minus_1;
  request.second = options.gradient;
  request.ensure_sum_one = options.ensure_sum_one;
  request.describe = [this](LocalRow row) { return query_rows("q", {}, shape.width).rows.describe(row); };
  return request;
}

/// From the states of the last pass: sums of p, of u and what else a row has, then columns weighed by p and by u.
void Attention::State::finish_threshold(TileBlock &own, const TensorSlice &first, const TensorSlice &second) const {
  const int sums = row_rule(RowKind::power_sums).outputs(0);
  const int columns = shape.value_width;
  if (!options.gradient)
    return write_answers(own, RowKind::power_sums, columns, {sums, options.ensure_sum_one ? 0 : -1, 1}, first);
  write_answers(own, RowKind::threshold_sum, columns, {sums, options.ensure_sum_one ? 0 : -1, 1}, first);
  write_answers(own, RowKind::threshold_sum, columns, {sums + columns, 1, 1}, second);
}

AttentionSaved Attention::State::forward_threshold(const AttentionInput &input, Tensor o) {
  const TileShape tile = forward_tile(input.q.storage);
  const Storage wide = tile.precision == Precision::fp64 ? Storage::fp64 : Storage::fp32;
  AttentionSaved saved;
  TileBlock own;
  TileBlock sources;
  communicator.agree([&] {
    std::tie(own, sources) = pack(tile, input);
    set_columns(sources, {key_rows("v", input.v, shape.value_width, input.key_padding)});
    saved.second_output = AlignedBuffer(place);
    if (options.gradient)
      saved.second_output.resize(static_cast<std::size_t>(own.local_rows() * shape.value_width) * storage_bytes(wide));
  });
  start_report(tile);
  const TensorSlice first{o, shape.value_width, 0, shape.value_width};
  const TensorSlice second{{saved.second_output.data(), wide}, shape.value_width, 0, shape.value_width};
  std::vector<double> s;
  std::vector<double> e_minus_1;
  ThresholdRequest asked = request(s, e_minus_1);
  const TileBits kept = pairs_with_keys(input, own, sources);
  if (!kept.steps.empty()) asked.kept = &kept;
  AnswerReader take;
  if (place == nullptr)
    take = [&](LocalRow row, std::int64_t count, const double *answers, std::int64_t stride) {
      write_rows(first, row, count, answers, stride, 1);
      if (options.gradient) write_rows(second, row, count, answers + shape.value_width * stride, stride, 1);
    };
  ThresholdResult result = threshold_attention(communicator, *ring, tile, own, sources, asked, take);
  if (place != nullptr) communicator.agree([&] { finish_threshold(own, first, second); });
  saved.thresholds = std::move(result.rows);
  report.pass = result.report.pass;
  report.passes = result.report.passes;
  report.iterations = result.report.iterations;
  report.sum_error = result.report.sum_error;
  close_report();
  return saved;
}

std::vector<double> Attention::State::backward_threshold(const Gradients &g) {
  const TileShape tile = backward_tile(g.input.q.storage);
  const Storage wide = tile.precision == Precision::fp64 ? Storage::fp64 : Storage::fp32;
  TileBlock own;
  TileBlock sources;
  std::vector<double> delta;
  communicator.agree([&] {
    std::tie(own, sources) = pack_gradient(tile, g);
    const std::size_t kept = static_cast<std::size_t>(own.local_rows() * shape.value_width) * storage_bytes(wide);
    FLASHRING_CHECK(g.saved.second_output.size() == kept && g.saved.second_output.device() == place,
                    "the second output of forward is not there, or of other arrays: ", g.saved.second_output.size(),
                    " bytes for ", kept, "; call forward on these arrays with gradient = true");
    delta = row_products(own, g.d_o, {g.saved.second_output.data(), wide}, shape.value_width, place != nullptr);
  });
  start_report(tile);
  std::vector<double> s;
  std::vector<double> e_minus_1;
  report.pass =
      threshold_gradient(communicator, *ring, tile, own, sources, request(s, e_minus_1), g.saved.thresholds, delta);
  report.passes = 1;
  close_report();
  write_gradients(tile, own, sources, g);
  return parameter_gradients(own);
}

/// Sums of the rows' derivatives by head, in the order of rows, then over ranks.
std::vector<double> Attention::State::parameter_gradients(TileBlock &own) const {
  if (options.op == "sparsemax") return {};
  const int columns = shape.width + shape.value_width;
  const std::int64_t rows = queries.local_rows(rank());
  const std::int64_t all = own.local_rows();
  std::vector<double> of_rows(static_cast<std::size_t>(3 * all));  // (rows, scales) column-major
  own.finish(RowKind::threshold_gradient, columns, Columns<double>{of_rows.data(), all, 3}, columns);
  std::vector<double> of_heads(static_cast<std::size_t>(shape.heads));
  for (std::int64_t row = 0; row < all; ++row) {
    const auto head = static_cast<std::size_t>(row / rows % shape.heads);
    const ThresholdFamily &family = families[head];
    of_heads[head] += family.sign * of_rows[static_cast<std::size_t>(static_cast<int>(family.scale) * all + row)];
  }
  communicator.sum(std::span<double>(of_heads));
  if (options.alpha.size() > 1) return of_heads;
  return {std::accumulate(of_heads.begin(), of_heads.end(), 0.0)};
}

}  // namespace flashring
