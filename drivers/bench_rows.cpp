// Mode rows of flashring-bench: threshold families on rows of given scores, beside a copy of the same numbers.
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "bench.hpp"
#include "flashring/check.hpp"
#include "flashring/random.hpp"
#include "flashring/threshold_rows.hpp"

namespace flashring {
namespace {

/// (rows, n) scores, and what comes of them.
template <class T>
struct Scores {
  explicit Scores(const RowScores &asked)
      : x(static_cast<std::size_t>(asked.rows * asked.n)), g(x.size()), out(x.size()) {
    constexpr std::size_t drawn = 1U << 16U;  // then again: no row is like the one before, and drawing takes no time
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = i < drawn ? static_cast<T>(random_normal(1, RandomStream::points, i)) : x[i - drawn + i / drawn % 7];
    for (std::size_t i = 0; i < x.size(); ++i) g[i] = x[x.size() - 1 - i];
  }
  std::vector<T> x, g, out;
};

/// Seconds of `work` as a pass over `entries` numbers.
PassReport timed(double entries, const std::function<void()> &work) {
  PassReport report;
  const double begin = seconds_now();
  work();
  report.seconds = seconds_now() - begin;
  report.pairs = entries;
  return report;
}

template <class T>
void measure(const Communicator &communicator, const BenchSettings &settings, BenchLine &line) {
  const RowScores &asked = settings.scores;
  const Storage storage = sizeof(T) == 8 ? Storage::fp64 : Storage::fp32;
  const auto entries = static_cast<double>(asked.rows * asked.n);
  Scores<T> scores(asked);
  ThresholdRows rows({asked.rows, asked.n, 1}, asked.options);
  ThresholdSaved saved;
  const BenchPass copy = [&] {
    return timed(entries, [&] { std::memcpy(scores.out.data(), scores.x.data(), scores.x.size() * sizeof(T)); });
  };
  const BenchPass forward = [&] {
    return timed(entries, [&] { saved = rows.forward(scores.x.data(), storage, scores.out.data()); });
  };
  const BenchPass backward = [&] {
    return timed(entries, [&] { rows.backward(scores.x.data(), saved, scores.g.data(), storage, scores.out.data()); });
  };
  Ceilings ceilings(communicator, find_backend(settings.op.backend), settings.tile_shape(settings.op));
  const auto times = run_in_turn(communicator, {copy, forward, backward}, settings.repeats, settings.seconds, ceilings);
  const std::array<const char *, 3> names{"copy", "forward", "backward"};
  for (std::size_t k = 0; k < names.size(); ++k)
    line[names[k]] = {{"repeats", times[k].seconds.size()},
                      {"seconds", times[k].median()},
                      {"seconds_best", times[k].best()},
                      {"entries_per_second", entries / times[k].median()},
                      {"fraction", times[0].median() / times[k].median()},
                      {"fraction_best", times[0].best() / times[k].best()}};
  line["iterations"] = rows.metrics().iterations;
  line["sum_error"] = rows.metrics().sum_error;
}

}  // namespace

BenchLine bench_rows(const Communicator &communicator, const DriverOptions &options, const BenchSettings &settings) {
  BenchLine line;
  line["program"] = "flashring-bench";
  line["mode"] = options.value("mode");
  OperatorOptions op = settings.op;  // whose auto may be another backend for tiles
  if (op.backend == "auto") op.backend = ThresholdRows({}, settings.scores.options).backend();
  describe_run(line, communicator, options, op, find_backend(op.backend));
  line["rows"] = settings.scores.rows;
  line["n"] = settings.scores.n;
  line["family"] = settings.scores.options.op;
  if (settings.op.precision == Precision::fp64)
    measure<double>(communicator, settings, line);
  else
    measure<float>(communicator, settings, line);
  return line;
}

}  // namespace flashring
