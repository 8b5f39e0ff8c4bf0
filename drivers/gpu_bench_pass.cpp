// Passes of the whole stack on one process: points in tiles, the ring of one rank, which waits for the device.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>

#include "flashring/check.hpp"
#include "flashring/ring.hpp"
#include "gpu_bench.hpp"

namespace flashring::gpu_bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Enough tiles for every multiprocessor of a large GPU; a thousandth or less of a pass over the smallest full case.
constexpr std::int64_t pilot_rows = 33000;
/// A median of 3 leaves out one that was disturbed; more where they are short.
constexpr std::size_t least_runs = 3;
constexpr std::size_t most_runs = 9;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Uniform in (-1, 1), one multiplication each: there are 100 million of them.
std::vector<double> numbers(std::size_t count) {
  std::vector<double> list(count);
  std::uint64_t state = 88172645463325252U;
  for (double &x : list) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    x = static_cast<double>(state >> 11U) * 0x1p-52 - 1;
  }
  return list;
}

TileBlock make_block(const Backend &backend, const Case &one) {
  PointBlock points(RowPartition::contiguous(one.rows, 1), 0, one.features,
                    numbers(static_cast<std::size_t>(one.rows * one.features)));
  return {backend, one.shape(), std::move(points), {}, one.host_points ? PointsMemory::host : PointsMemory::device};
}

/// Rules of attention may want their points in another form.
bool same_points(const Case &a, const Case &b) {
  return a.precision == b.precision && a.features == b.features && a.rows == b.rows && a.host_points == b.host_points &&
         !a.attention && !b.attention;
}

}  // namespace

struct Passes::State {
  State(const Backend &of, double enough_seconds)
      : backend(of),
        enough(enough_seconds),
        communicator(make_self_communicator()),
        transport(make_transport("self", *communicator, of.device)),
        ring(*communicator, *transport, of, {}) {}

  bool has_points(const Case &one) const { return last && same_points(*last, one); }

  /// Points, where they are not there already, and columns.
  void prepare(const Case &one) {
    if (!has_points(one)) {
      last.reset();
      block.reset();
      keys.reset();
      const auto begin = Clock::now();
      block.emplace(make_block(backend, one));
      row_seconds = seconds_since(begin) / static_cast<double>(one.rows);
      if (one.attention) keys.emplace(make_block(backend, one));
    }
    const RowRule &rule = row_rule(one.row);
    const int columns = rule.value_columns(one.columns);
    const int own_scalars = rule.own_scalars > 0 ? rule.own_scalars : rule.scalars;
    const std::vector<double> x = numbers(static_cast<std::size_t>(one.rows * std::max({columns, own_scalars, 1})));
    for (TileBlock *side : {&*block, &giving()}) {
      side->set_columns({x.data(), one.rows, columns});
      const int scalars = side == &giving() ? rule.scalars : own_scalars;
      if (scalars > 0) side->set_pass_scalars({x.data(), one.rows, scalars}, -INFINITY);
    }
    last = one;
  }

  /// With one side the block meets itself as if it were another one.
  TileBlock &giving() { return keys ? *keys : *block; }
  PassReport run(const Case &one) { return ring.run(one.shape(), one.sides(), *block, giving()); }

  /// Seconds of a pass, and of what must be done before the first one.
  struct Expected {
    double pass = 0;
    double preparing = 0;
  };
  /// From a pass over fewer points of the same kind; nothing where the points are here already, since then it is little
  /// more to find out.
  Expected expected(const Case &one) {
    if (has_points(one)) return {};
    Case pilot = one;
    pilot.rows = std::min(one.rows, pilot_rows);
    prepare(pilot);
    run(pilot);
    const double share = static_cast<double>(one.rows) / static_cast<double>(pilot.rows);
    return {run(pilot).seconds * share * share, row_seconds * static_cast<double>(one.rows)};
  }

  const Backend &backend;
  double enough;
  std::unique_ptr<Communicator> communicator;
  std::unique_ptr<Transport> transport;
  Ring ring;
  std::optional<Case> last;
  std::optional<TileBlock> block;
  std::optional<TileBlock> keys;  ///< of attention
  double row_seconds = 0;         ///< to make and pack a row of `block`
};

Passes::Passes(const Backend &backend, double enough) : state_(std::make_unique<State>(backend, enough)) {}
Passes::~Passes() = default;

Measured Passes::measure(const Case &one, double allowed) {
  Measured measured;
  if (!state_->backend.supports(one.shape())) {
    measured.not_run = "the backend does not do this";
    return measured;
  }
  const auto begin = Clock::now();
  const State::Expected expected = state_->expected(one);
  if (2 * expected.pass + expected.preparing + seconds_since(begin) > allowed) {
    const auto tenths = [](double seconds) { return std::round(seconds * 10) / 10; };
    measured.not_run = detail::concatenate("about ", tenths(expected.pass), " s a pass after ",
                                           tenths(expected.preparing), " s, ", tenths(allowed), " s left for it");
    return measured;
  }
  state_->prepare(one);
  const double warm = state_->run(one).seconds;
  const auto timed = Clock::now();
  std::vector<double> seconds;
  const auto worth_it = [&] {
    return seconds.size() < least_runs ? seconds_since(begin) + warm < allowed : seconds_since(timed) < state_->enough;
  };
  while (seconds.empty() || (seconds.size() < most_runs && worth_it())) {
    const PassReport report = state_->run(one);
    seconds.push_back(report.seconds);
    measured.evaluated = report.pairs;
  }
  std::sort(seconds.begin(), seconds.end());
  measured.seconds = seconds[seconds.size() / 2];
  measured.runs = static_cast<int>(seconds.size());
  return measured;
}

}  // namespace flashring::gpu_bench
