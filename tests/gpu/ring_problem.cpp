#include "gpu/ring_problem.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "flashring/options.hpp"
#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/stated.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Numbers of a side: columns, or one log weight per row.
std::vector<double> values_of(const RingProblem &problem, bool own, int columns) {
  const std::size_t rows = own || problem.square ? problem.own_rows : problem.source_rows;
  const std::uint64_t stream = own || problem.square ? 2 : 3;
  return random_numbers(rows * static_cast<std::size_t>(columns), problem.seed * 16 + stream);
}
std::vector<double> weights_of(const RingProblem &problem, bool own) {
  const std::size_t rows = own || problem.square ? problem.own_rows : problem.source_rows;
  return random_numbers(rows, problem.seed * 16 + (own || problem.square ? 4 : 5));
}

TileBlock make_block(const RingProblem &problem, const Backend &backend, bool own, const RowPartition &partition,
                     int rank, bool magnitudes) {
  const PointSet points = own ? problem.own() : problem.sources();
  TileBlock block(backend, problem.shape(), local_block(points, partition, rank), {}, problem.memory);
  std::vector<double> values = values_of(problem, own, problem.columns);
  if (magnitudes)
    for (double &x : values) x = std::abs(x);
  const std::vector<double> x = local_columns(values, problem.columns, partition, rank);
  block.set_columns({x.data(), block.local_rows(), problem.columns});
  if (row_rule(problem.row).scalars > 0)
    block.set_pass_scalars(local_columns(weights_of(problem, own), 1, partition, rank), -infinity);
  return block;
}

std::vector<double> finished(const RingProblem &problem, TileBlock &block, const Communicator &communicator) {
  const int outputs = row_rule(problem.row).outputs(problem.columns);
  std::vector<double> out(static_cast<std::size_t>(block.local_rows() * outputs));
  block.finish(problem.row, problem.columns, {out.data(), block.local_rows(), outputs});
  return gather_columns(out, outputs, block.partition(), communicator);
}

RingSums run(const RingProblem &problem, const Backend &backend, const Communicator &communicator, Transport &transport,
             const RowPartition &own_rows, const RowPartition &source_rows, bool magnitudes) {
  RingRun run(problem, backend, communicator, transport, own_rows, source_rows, magnitudes);
  PassReport report;
  for (int pass = 0; pass < problem.passes; ++pass) report = run.pass();
  RingSums sums = run.sums();
  sums.report = report;
  return sums;
}

/// What ref says in fp64, and the same for columns without their signs.
struct ExactSums {
  RingSums value, magnitude;
};

ExactSums sums_by_ref(const RingProblem &exact) {
  const Backend &ref = find_backend("ref");
  const auto alone = make_self_communicator();
  const auto transport = make_transport("self", *alone);
  const auto own_rows = RowPartition::contiguous(static_cast<std::int64_t>(exact.own_rows), 1);
  const auto source_rows = RowPartition::contiguous(static_cast<std::int64_t>(exact.source_rows), 1);
  return {run(exact, ref, *alone, *transport, own_rows, source_rows, false),
          run(exact, ref, *alone, *transport, own_rows, source_rows, true)};
}

/// Kept: what is tested changes neither, and ref takes seconds where a device takes none.
const ExactSums &exact_sums(const RingProblem &problem) {
  RingProblem exact = problem;
  exact.precision = Precision::fp64;
  exact.passes = 1;
  exact.memory = PointsMemory::device;
  exact.options = {};
  exact.options.threads = problem.options.threads;
  const auto key =
      std::make_tuple(exact.text(), exact.row, exact.sides, exact.square, exact.mask.causal, exact.mask.exclude_self,
                      exact.columns, exact.features, exact.own_rows, exact.source_rows, exact.seed);
  static std::map<decltype(key), ExactSums> known;
  const auto found = known.find(key);
  return found != known.end() ? found->second : known.emplace(key, sums_by_ref(exact)).first->second;
}

Real largest_norm(const PointSet &a, const PointSet &b) {
  Real largest = 0;
  for (const PointSet *points : {&a, &b})
    for (const Real norm : tile_norms(*points, cut(0, points->count(), 1))) largest = std::max(largest, norm);
  return largest;
}

/// The largest relative error of a weight: formulas are steepest at q = 0 and exponents largest at the largest q, and
/// no argument is larger than (|x| + |y|)^2 <= 4 n.
Real weight_error(const RingProblem &problem, const Backend &tested) {
  const OraclePair pair = oracle_pair(problem.text());
  const Real n = largest_norm(problem.own(), problem.sources());
  const Real largest = pair.inner() ? n : 4 * n;
  const Real u = unit_roundoff(problem.precision);
  if (problem.precision != Precision::reduced)
    return u * (oracle_slope(pair, 0) * argument_error(pair, largest, n, n, problem.features) +
                2 * oracle_exponent(pair, largest) + 4);
  const TileError stated = tested.error(problem.shape());
  return std::expm1(error_of_argument(pair, 0, stated.argument * 2 * n) + stated.weight +
                    4 * u * oracle_exponent(pair, largest));
}

/// Bounds as in oracle.cpp, with one error for all weights, from the same sums with magnitudes of columns. ref itself
/// adds the error of fp64.
Bounded bounded(const RingProblem &problem, const Backend &tested, const std::vector<double> &value,
                const std::vector<double> &magnitude, std::size_t terms) {
  const Arithmetic a = arithmetic(problem.precision, tested.tile_rows);
  const auto of_sum = static_cast<Real>(a.unit) * sum_error(a.tile_rows);
  Real error = weight_error(problem, tested);
  const Real twice = problem.precision == Precision::fp64 ? 2 : 1;
  Bounded answer{{value.begin(), value.end()}, {}};
  const auto lost = static_cast<Real>(terms) * a.smallest;
  if (problem.row == RowKind::sum) {
    for (const double m : magnitude) answer.bound.push_back(twice * m * (error + of_sum) + lost);
    return answer;
  }
  const OraclePair pair = oracle_pair(problem.text());
  const Real n = largest_norm(problem.own(), problem.sources());
  error += a.unit * (3 + std::abs(oracle_log_weight(pair, pair.inner() ? n : 4 * n)));  // |g| < 1
  const std::size_t rows = value.size() / static_cast<std::size_t>(1 + problem.columns);
  for (std::size_t i = 0; i < value.size(); ++i)
    answer.bound.push_back(i < rows ? twice * (error + of_sum) + lost + 3 * 0x1p-53L * std::abs(answer.value[i])
                                    : twice * magnitude[i] * 2 * (error + of_sum) + lost);
  return answer;
}

}  // namespace

TileShape RingProblem::shape() const { return {parse_pair(text()), row, 0, precision, features, columns, mask}; }
std::string RingProblem::text() const { return spread_pair(name, features); }
PointSet RingProblem::own() const { return random_points(own_rows, features, seed * 16); }
PointSet RingProblem::sources() const { return square ? own() : random_points(source_rows, features, seed * 16 + 1); }

RingRun::RingRun(const RingProblem &problem, const Backend &backend, const Communicator &communicator,
                 Transport &transport, const RowPartition &own_rows, const RowPartition &source_rows, bool magnitudes)
    : problem_(problem),
      communicator_(communicator),
      ring_(communicator, transport, backend, problem.options),
      own_(make_block(problem, backend, true, own_rows, communicator.rank(), magnitudes)) {
  if (one_block()) return;
  const RowPartition &rows = problem.square ? own_rows : source_rows;
  other_ = make_block(problem, backend, false, rows, communicator.rank(), magnitudes);
}

PassReport RingRun::pass() { return ring_.run(problem_.shape(), problem_.sides, own_, sources()); }

RingSums RingRun::sums() {
  RingSums sums;
  if (has_own(problem_.sides)) sums.own = finished(problem_, own_, communicator_);
  if (has_visiting(problem_.sides)) sums.visiting = finished(problem_, sources(), communicator_);
  return sums;
}

std::vector<double> RingRun::pairs_of_steps() const {
  const RowPartition &visiting = one_block() ? own_.partition() : other_.partition();
  const Schedule schedule{own_.partition(), visiting,    communicator_.rank(), own_.tile_rows(),
                          problem_.sides,   one_block(), problem_.mask};
  std::vector<double> pairs;
  for (int step = 0; step < schedule.steps(); ++step) pairs.push_back(schedule.visit(step).pairs.count().points);
  return pairs;
}

RingSums ring_sums(const RingProblem &problem, const Backend &backend, const Communicator &communicator,
                   Transport &transport, const RowPartition &own_rows, const RowPartition &source_rows) {
  return run(problem, backend, communicator, transport, own_rows, source_rows, false);
}

RingSums ring_sums(const RingProblem &problem, const Backend &backend, const Communicator &communicator,
                   Transport &transport) {
  const auto rows = [&](std::size_t count) {
    return RowPartition::contiguous(static_cast<std::int64_t>(count), communicator.size());
  };
  return ring_sums(problem, backend, communicator, transport, rows(problem.own_rows), rows(problem.source_rows));
}

RingAnswer ref_answer(const RingProblem &problem, const Backend &tested) {
  const auto &[value, magnitude] = exact_sums(problem);
  RingAnswer answer;
  const std::size_t terms = std::max(problem.own_rows, problem.source_rows);
  if (has_own(problem.sides)) answer.own = bounded(problem, tested, value.own, magnitude.own, terms);
  if (has_visiting(problem.sides))
    answer.visiting = bounded(problem, tested, value.visiting, magnitude.visiting, terms);
  return answer;
}

std::string outside(const RingSums &sums, const RingAnswer &answer) {
  const std::string own = outside(sums.own, answer.own);
  const std::string visiting = outside(sums.visiting, answer.visiting);
  return (own.empty() ? "" : "own rows: " + own) + (visiting.empty() ? "" : "visiting rows: " + visiting);
}

double worst_ratio(const RingSums &sums, const RingAnswer &answer) {
  return std::max(worst_ratio(sums.own, answer.own), worst_ratio(sums.visiting, answer.visiting));
}

}  // namespace flashring::test
