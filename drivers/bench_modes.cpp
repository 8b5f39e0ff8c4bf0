// The modes of flashring-bench: each sets up what it measures, runs it in turn with the ceilings, and fills the line.
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench.hpp"
#include "flashring/check.hpp"
#include "flashring/random.hpp"
#include "flashring/tile_block.hpp"

namespace flashring {
namespace {

/// Columns that go in and come out, (rows of this rank, columns).
struct Vectors {
  Vectors(std::int64_t row_count, int column_count)
      : rows(row_count),
        columns(column_count),
        x(static_cast<std::size_t>(row_count * column_count)),
        y(x.size(), 0.0) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = random_uniform(1, RandomStream::start_vector, i);
  }
  Vectors(const Communicator &communicator, const BenchSettings &s)
      : Vectors(RowPartition::contiguous(s.shape.rows, communicator.size()).local_rows(communicator.rank()),
                s.columns) {}
  std::int64_t rows;
  int columns;
  std::vector<double> x, y;
};

/// One product from vectors to vectors; what it did.
PassReport apply(KernelOperator &op, Vectors &vectors) {
  const PassReport before = op.counters().ring;
  const double begin = seconds_now();
  op.apply(vectors.x.data(), vectors.rows, vectors.y.data(), vectors.rows, vectors.columns);
  PassReport report = op.counters().ring;
  report.seconds = seconds_now() - begin;
  report.pairs -= before.pairs;
  report.wait_seconds -= before.wait_seconds;
  report.bytes_sent -= before.bytes_sent;
  return report;
}

/// Everything that modes share: what is measured where, and the line that comes of it.
struct Bench {
  Bench(const Communicator &group, const DriverOptions &options, const BenchSettings &asked, const OperatorOptions &op)
      : communicator(group),
        settings(asked),
        backend(find_backend(op.backend)),
        shape(settings.tile_shape(op)),
        work(count_work(backend, shape, RowPartition::contiguous(settings.shape.rows, communicator.size()),
                        settings.sides)),
        ceilings(communicator, backend, shape),
        threads(communicator.sum(static_cast<double>(op.threads))) {
    line["program"] = "flashring-bench";
    line["mode"] = options.value("mode");
    describe_run(line, communicator, options, op, backend);
    line["n"] = settings.shape.rows;
    line["d"] = settings.shape.features;
    line["columns"] = settings.columns;
    line["row"] = row_rule(settings.row).name;
    line["sides"] = settings.sides == Sides::own ? "own" : "both";
  }
  std::vector<BenchTimes> run(const std::vector<BenchPass> &passes) {
    std::vector<BenchTimes> times = run_in_turn(communicator, passes, settings.repeats, settings.seconds, ceilings);
    // Sums of whole numbers are exact up to 2^53; beyond, the order of additions shows.
    const double slack = work.effective_pairs < 0x1p53 ? 0 : 1e-9 * work.pairs;
    FLASHRING_REQUIRE(std::abs(times.back().pairs - work.pairs) <= slack, times.back().pairs, " pairs evaluated, ",
                      work.pairs, " counted");
    return times;
  }
  /// Seconds of a pass on all threads of all ranks at the rates of one thread; 0 where none are stated.
  double limit() const { return ceilings.seconds(work.operations) / threads; }

  const Communicator &communicator;
  const BenchSettings &settings;
  const Backend &backend;
  TileShape shape;
  BenchWork work;
  Ceilings ceilings;
  double threads;  // of all ranks
  BenchLine line;
};

/// Where the pair function reads lengths, that of two points' distance for all.
PointBlock make_points(const Communicator &communicator, const OperatorOptions &op, PointShape shape) {
  PointBlock points = generate_points(
      detail::concatenate("normal:n=", shape.rows, ",d=", shape.features, ",seed=", op.seed), communicator);
  points.set_point_length(std::sqrt(2.0 * shape.features), point_scale(op.pair.kind));
  return points;
}

/// The operator of the generated points, for products, whose entries must be numbers.
std::unique_ptr<KernelOperator> make_product(const Communicator &communicator, const OperatorOptions &op,
                                             PointShape shape) {
  auto made = std::make_unique<KernelOperator>(communicator, op, make_points(communicator, op, shape));
  communicator.agree([&] {
    FLASHRING_CHECK(made->log_shift() < 700, "-pair ", to_string(op.pair), ": entries reach exp(", made->log_shift(),
                    "), beyond the largest number; give an s nearer to 0");
  });
  return made;
}

}  // namespace

BenchLine bench_tile(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings) {
  const PointBlock points = make_points(communicator, settings.op, settings.shape);
  const KernelOperator op(communicator, settings.op, points);  // resolves the pair
  Bench bench(communicator, options, settings, op.options());
  TileBlock block(bench.backend, bench.shape, points, op.mean());
  const Vectors vectors(communicator, settings);
  block.set_columns({vectors.x.data(), vectors.rows, vectors.columns});
  if (row_rule(settings.row).scalars > 0)  // log weights
    block.set_pass_scalars(std::vector<double>(static_cast<std::size_t>(vectors.rows), 0.0), -INFINITY);
  const std::unique_ptr<Transport> transport = make_transport("self", communicator);
  Ring ring(communicator, *transport, bench.backend, {1, Route::direct});
  const auto times = bench.run({[&] { return ring.run(bench.shape, settings.sides, block, block); }});
  describe_ceilings(bench.line, bench.ceilings);
  describe_work(bench.line, bench.work, times.front(), bench.limit());
  return bench.line;
}

BenchLine bench_pass(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings) {
  Vectors vectors(communicator, settings);  // the caller's, not the operator's
  reset_peak_memory();
  const double started = resident_bytes();
  const std::unique_ptr<KernelOperator> op = make_product(communicator, settings.op, settings.shape);
  Bench bench(communicator, options, settings, op->options());
  const auto times = bench.run({[&] { return apply(*op, vectors); }});
  const double peak = peak_memory();
  const bool known = communicator.min(peak) > 0;
  const double memory = communicator.max(peak - started);
  const double formula = sum_of(
      operator_memory(op->options(), settings.shape, communicator.size(), settings.columns, op->options().exchange));
  describe_ceilings(bench.line, bench.ceilings);
  describe_work(bench.line, bench.work, times.front(), bench.limit());
  bench.line["memory_bytes"] = known ? whole(memory) : BenchLine();
  bench.line["memory_formula_bytes"] = whole(formula);
  bench.line["memory_ratio"] = known ? BenchLine(memory / formula) : BenchLine();
  return bench.line;
}

BenchLine bench_ring(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings) {
  Vectors vectors(communicator, settings);
  std::vector<std::unique_ptr<KernelOperator>> operators;
  std::vector<BenchPass> passes;
  for (const RingVariant &variant : ring_variants) {
    OperatorOptions op = settings.op;
    op.set("exchange", variant.exchange);
    op.set("route", variant.route);
    operators.push_back(make_product(communicator, op, settings.shape));
    passes.emplace_back([&op = *operators.back(), &vectors] { return apply(op, vectors); });
  }
  std::size_t asked = 0;
  while (settings.op.exchange != ring_variants[asked].exchange || settings.op.route != ring_variants[asked].route)
    ++asked;
  Bench bench(communicator, options, settings, operators[asked]->options());
  const std::vector<BenchTimes> times = bench.run(passes);
  describe_ceilings(bench.line, bench.ceilings);
  describe_work(bench.line, bench.work, times[asked], bench.limit());
  for (std::size_t v = 0; v < ring_variants.size(); ++v)
    bench.line["variants"].push_back({{"exchange", ring_variants[v].exchange},
                                      {"route", ring_variants[v].route},
                                      {"seconds", times[v].median()},
                                      {"seconds_best", times[v].best()},
                                      {"link_bytes", whole(times[v].link_bytes)},
                                      {"wait_fraction", times[v].wait_fraction()}});
  return bench.line;
}

BenchLine bench_scale(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings) {
  Vectors vectors(communicator, settings);
  const std::unique_ptr<KernelOperator> op = make_product(communicator, settings.op, settings.shape);
  Bench bench(communicator, options, settings, op->options());
  const std::unique_ptr<Communicator> self = make_self_communicator();
  std::unique_ptr<KernelOperator> single;
  Vectors all(communicator.rank() == 0 ? settings.shape.rows : 0, settings.columns);
  communicator.agree([&] {
    if (communicator.rank() > 0) return;
    OperatorOptions alone = op->options();
    alone.threads = 1;
    alone.transport = "self";
    single = make_product(*self, alone, settings.shape);
  });
  const std::unique_ptr<Transport> transport = make_transport("auto", communicator);
  const BenchPass on_one = [&] { return on_first_rank(communicator, *transport, [&] { return apply(*single, all); }); };
  const std::vector<BenchTimes> times = bench.run({on_one, [&] { return apply(*op, vectors); }});
  describe_ceilings(bench.line, bench.ceilings);
  describe_work(bench.line, bench.work, times[1], times[0].median() / bench.threads);
  // Best beside best: the fraction of best passes has nothing of interrupted ones.
  bench.line["fraction_best"] = times[0].best() / bench.threads / times[1].best();
  bench.line["single_seconds"] = times[0].median();
  bench.line["single_seconds_best"] = times[0].best();
  bench.line["single_fraction"] = BenchLine();
  if (bench.limit() > 0) bench.line["single_fraction"] = bench.limit() * bench.threads / times[0].median();
  bench.line["speedup"] = times[0].median() / times[1].median();
  return bench.line;
}

}  // namespace flashring
