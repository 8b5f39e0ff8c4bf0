// Log-sum-exp with value columns over two point sets: the forward pass of softmax attention.
// Cost: N_q N_s pairs, each 2d + c + two exponentials; one ring of the sources with their log weights and values.
#include "flashring/reduction.hpp"

#include <cmath>
#include <limits>

#include "flashring/check.hpp"

namespace flashring {
namespace {

void check_request(const PointBlock &queries, const PointBlock &sources, const LogSumExpRequest &request) {
  const auto rows = static_cast<std::size_t>(sources.local_rows());
  FLASHRING_CHECK(queries.features() == sources.features(), "queries have ", queries.features(),
                  " features and sources ", sources.features(), "; they must agree");
  check_point_scales(request.pair, queries);
  check_point_scales(request.pair, sources);
  FLASHRING_CHECK(!std::isnan(request.pair.parameters[0]), "pair ", traits(request.pair.kind).name,
                  " needs a value of ", traits(request.pair.kind).parameters.front());
  FLASHRING_CHECK(request.log_weights.empty() || request.log_weights.size() == rows,
                  "log weights: ", request.log_weights.size(), " given for ", rows, " sources of this rank");
  for (std::size_t j = 0; j < request.log_weights.size(); ++j)
    FLASHRING_CHECK(request.log_weights[j] < std::numeric_limits<double>::infinity(), "log weight of local source ", j,
                    " is ", request.log_weights[j], "; finite numbers and -inf (hidden) are allowed");
  FLASHRING_CHECK(request.columns >= 0 && request.columns <= max_columns, "values have ", request.columns,
                  " columns; 0 to ", max_columns, " fit one pass");
  FLASHRING_CHECK(request.values.size() == rows * static_cast<std::size_t>(request.columns),
                  "values: ", request.values.size(), " numbers given for ", rows, " sources and ", request.columns,
                  " columns");
}

}  // namespace

void set_sources(TileBlock &sources, const LogSumExpRequest &request) {
  const std::vector<double> no_weights(static_cast<std::size_t>(sources.local_rows()), 0.0);
  sources.set_pass_scalars(request.log_weights.empty() ? std::span<const double>(no_weights) : request.log_weights,
                           -std::numeric_limits<double>::infinity());
  sources.set_columns({request.values.data(), sources.local_rows(), request.columns});
}

LogSumExpResult log_sum_exp(Ring &ring, const TileShape &shape, TileBlock &queries, TileBlock &sources) {
  LogSumExpResult result;
  result.report = ring.run(shape, Sides::own, queries, sources);
  const auto rows = static_cast<std::size_t>(queries.local_rows());
  std::vector<double> out(rows * static_cast<std::size_t>(1 + shape.columns));  // (rows, 1 + c)
  queries.finish(RowKind::logsumexp, shape.columns, {out.data(), queries.local_rows(), shape.columns + 1});
  result.lse.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(rows));
  result.values.assign(out.begin() + static_cast<std::ptrdiff_t>(rows), out.end());
  return result;
}

LogSumExpResult log_sum_exp(const Communicator &communicator, Transport &transport, const Backend &backend,
                            const RingOptions &options, const PointBlock &queries, const PointBlock &sources,
                            const LogSumExpRequest &request) {
  communicator.agree([&] { check_request(queries, sources, request); });
  const TileShape shape{request.pair,       RowKind::logsumexp, 0,           request.precision,
                        queries.features(), request.columns,    request.mask};
  std::vector<double> mean;
  if (traits(request.pair.kind).invariance == Invariance::translation) mean = global_mean(communicator, sources);
  TileBlock own(backend, shape, queries, mean);
  TileBlock visiting(backend, shape, sources, mean);
  set_sources(visiting, request);
  Ring ring(communicator, transport, backend, options);
  return log_sum_exp(ring, shape, own, visiting);
}

}  // namespace flashring
