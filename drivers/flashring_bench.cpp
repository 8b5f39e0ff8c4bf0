// flashring-bench: how near to the limits of the machine the tiles and the ring come.
//
//   flashring-bench tile -n 4096 -d 3 -columns 1 -precision fp32           one thread, pairs of tiles alone
//   mpirun -n 2 flashring-bench pass -n 200000 -d 3 -precision fp32        a whole product, with its memory
//   mpirun -n 2 flashring-bench ring -n 100000 -d 16                       every exchange and route, with waiting
//   flashring-bench scale -n 50000 -threads 2                              against one thread, in turn
//   flashring-bench rows -n 4096 -op entmax -alpha 1.5 -precision fp32   rows of scores, beside a copy
//
// Limit: operations of the pairs over the rates of one thread and the number of threads, or (scale) the time of one
// thread over their number. One JSON line on standard output; docs/flashring-bench.md says what its fields mean.
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "bench.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 13> own_options{{
    {"mode", "", "tile|pass|ring|scale|rows", "what is measured: the first word of the command line"},
    {"n", "16384", "n >= 1", "points, their features independent standard normal numbers; mode rows: scores of a row"},
    {"d", "3", "1 <= d <= 1048576", "features"},
    {"columns", "1", "1 <= columns <= 64", "columns that one pass carries"},
    {"sides", "both", "both|own",
     "mode tile: a pair of tiles is evaluated once for its two sides, or every entry by itself"},
    {"row", "sum", "sum|logsumexp", "mode tile: how weights combine; logsumexp works with sides own"},
    {"rows", "0", ">= 0", "mode rows: rows of n scores, standard normal numbers; 0: as many as make 2^24 scores"},
    {"op", "entmax", "softmax|diffmax|entmax|sparsemax", "mode rows: the family"},
    {"alpha", "1.5", "of the family", "mode rows: alpha of diffmax, a of entmax"},
    {"scale_family", "tsallis", "tsallis|none|porous", "mode rows: what diffmax multiplies scores with"},
    {"repeats", "5", ">= 1", "passes that are measured, at least"},
    {"seconds", "1", ">= 0", "time that they take together, at least"},
    {"version", "", "", "print version and build, and stop"},
}};

/// The form is always kernel, in which there is no density to take out.
constexpr std::array<std::string_view, 4> without_effect{"form", "alpha", "normalization", "knn"};

constexpr DriverText text = {"flashring-bench",
                             "pairs per second beside the limit of this machine",
                             "flashring-bench tile -n 4096 -d 3 -columns 1 -precision fp32",
                             own_options,
                             false,
                             without_effect};

std::int64_t get_count(const DriverOptions &options, const char *name, std::int64_t most) {
  const std::int64_t value = parse_integer(std::string("-") + name, options.value(name));
  FLASHRING_CHECK(value >= 1 && value <= most, "-", name, ": ", value, " is outside [1, ", most, "]");
  return value;
}

const std::string &get_word(const DriverOptions &options, const char *name,
                            std::initializer_list<std::string_view> known) {
  std::string names;
  for (const std::string_view word : known) {
    if (options.value(name) == word) return options.value(name);
    names.append(names.empty() ? "" : ", ").append(word);
  }
  throw Error(detail::concatenate("-", name, ": '", options.value(name), "' is unknown; known are ", names));
}

/// Modes tile and rows measure one thread, where nothing moves.
void check_one_thread(const DriverOptions &options, BenchSettings &settings, int ranks) {
  FLASHRING_CHECK(ranks == 1, "mode ", settings.mode, " measures one rank, and here are ", ranks,
                  "; start it without mpirun, or take mode pass");
  for (const char *name : {"transport", "route", "exchange"})
    FLASHRING_CHECK(!options.given(name), "-", name, " belongs to the other modes: in mode ", settings.mode,
                    " nothing moves");
  FLASHRING_CHECK(settings.op.threads <= 1, "-threads: mode ", settings.mode, " measures one thread; for ",
                  settings.op.threads, " take mode pass or scale");
  settings.op.threads = 1;
}

/// The scores of mode rows.
void read_scores(const DriverOptions &options, BenchSettings &settings) {
  for (const char *name : {"d", "columns", "sides", "row", "pair", "beta"})
    FLASHRING_CHECK(!options.given(name), "-", name, " belongs to the other modes: mode rows has no points");
  RowScores &scores = settings.scores;
  scores.n = settings.shape.rows;
  scores.rows = parse_integer("-rows", options.value("rows"));
  FLASHRING_CHECK(scores.rows >= 0, "-rows: ", scores.rows, " is below 0");
  if (scores.rows == 0) scores.rows = std::max<std::int64_t>(1, (std::int64_t{1} << 24U) / scores.n);
  scores.options.op = options.value("op");
  scores.options.parameters = {parse_real("-alpha", options.value("alpha"))};
  scores.options.family_scale = options.value("scale_family");
  scores.options.threads = 1;
  scores.options.backend = settings.op.backend;
  FLASHRING_CHECK(settings.op.precision != Precision::reduced, "-precision: mode rows has fp64 and fp32");
}

/// What only some modes can do.
void check_mode(DriverOptions &options, BenchSettings &settings, int ranks) {
  const bool tile = settings.mode == "tile";
  const bool rows = settings.mode == "rows";
  if (tile || rows) check_one_thread(options, settings, ranks);
  if (rows) return read_scores(options, settings);
  for (const char *name : {"rows", "op", "alpha", "scale_family"})
    FLASHRING_CHECK(!options.given(name), "-", name, " belongs to mode rows");
  for (const char *name : {"sides", "row"})
    FLASHRING_CHECK(tile || !options.given(name), "-", name, " belongs to mode tile; mode ", settings.mode,
                    " sums over both sides");
  if (!tile) return;
  if (settings.row == RowKind::sum) return;
  FLASHRING_CHECK(!options.given("sides") || settings.sides == Sides::own,
                  "-row logsumexp works with -sides own: its states go to the rows that ask");
  settings.sides = Sides::own;
  options.use("sides", "own");
}

BenchSettings get_settings(DriverOptions &options, int ranks) {
  BenchSettings settings;
  InputOptions none;
  options.read(none, settings.op);
  options.refuse_unused(true);
  FLASHRING_CHECK(!options.value("mode").empty(),
                  "no mode; the first word says what is measured: tile, pass, ring, scale or rows");
  settings.mode = get_word(options, "mode", {"tile", "pass", "ring", "scale", "rows"});
  settings.shape = {get_count(options, "n", std::int64_t{1} << 40U),
                    static_cast<int>(get_count(options, "d", 1 << 20))};
  settings.columns = static_cast<int>(get_count(options, "columns", max_columns));
  settings.repeats = static_cast<int>(get_count(options, "repeats", 1000000));
  settings.seconds = parse_real("-seconds", options.value("seconds"));
  FLASHRING_CHECK(settings.seconds >= 0 && std::isfinite(settings.seconds), "-seconds: ", settings.seconds,
                  " is not a finite number of at least 0");
  if (get_word(options, "sides", {"both", "own"}) == "own") settings.sides = Sides::own;
  if (get_word(options, "row", {"sum", "logsumexp"}) == "logsumexp") settings.row = RowKind::logsumexp;
  check_mode(options, settings, ranks);
  return settings;
}

/// The length scale of -beta median without a sample, whose memory would stand above that of few points in the figures:
/// two points with independent standard normal features are about sqrt(2 d) apart.
void settle_length(BenchSettings &settings) {
  OperatorOptions &op = settings.op;
  if (!op.median) return;
  FLASHRING_CHECK(op.bandwidth == "median", "-beta ", op.bandwidth,
                  " is found by a pass, which would stand above what is measured; give -beta a number");
  set_length_scale(op.pair, 2.0 * settings.shape.features);
  op.median = false;
}

/// What the mode holds on the rank with most rows.
std::vector<MemoryPart> memory_of(const BenchSettings &settings, const RunPlan &plan) {
  const OperatorOptions &op = settings.op;
  if (settings.mode == "rows")
    return {{"scores, gradient and result", 3.0 * static_cast<double>(column_bytes(op.precision)) *
                                                static_cast<double>(settings.scores.rows * settings.scores.n)}};
  const auto operator_of = [&](const std::string &exchange) {
    return sum_of(operator_memory(op, settings.shape, plan.ranks, settings.columns, exchange));
  };
  const double vectors = 16.0 * settings.columns * std::ceil(static_cast<double>(settings.shape.rows) / plan.ranks);
  if (settings.mode == "ring") {
    double all = 0;
    for (const RingVariant &variant : ring_variants) all += operator_of(variant.exchange);
    return {{"operators of every exchange and route", all}, {"vectors", vectors}};
  }
  const double one = operator_of(op.exchange);
  std::vector<MemoryPart> parts{{"operator", one}, {"vectors", vectors}};
  if (settings.mode == "scale") parts.push_back({"operator and vectors of one rank", plan.ranks * (one + vectors)});
  return parts;
}

/// Refuses what the backend or the memory cannot do, and settles the exchange.
void prepare(const Communicator &communicator, BenchSettings &settings) {
  communicator.agree([&] { settle_length(settings); });
  RunPlan plan = start_plan(communicator, settings.op, settings.shape);
  settings.op.exchange = plan.exchange.value;
  settings.op.points_memory = plan.points_memory.value;
  communicator.agree([&] {
    plan.phases = {{"measuring", memory_of(settings, plan)}};
    // check_room would advise another exchange, of which this mode has all.
    FLASHRING_CHECK(settings.mode != "ring" || plan.peak() <= plan.room.bytes,
                    "mode ring holds an operator for every exchange and route, together ",
                    std::ceil(1e-6 * plan.peak()), " MB per rank, and ", std::floor(1e-6 * plan.room.bytes),
                    " MB are free (limit: ", plan.room.limit, "); take fewer points, or mode pass");
    plan.check_room();
  });
}

int run(const Communicator &communicator, DriverOptions &options) {
  BenchSettings settings;
  communicator.agree([&] { settings = get_settings(options, communicator.size()); });
  choose_device(communicator, settings.op);
  prepare(communicator, settings);
  using Mode = BenchLine (*)(const Communicator &, const DriverOptions &, const BenchSettings &);
  constexpr std::array<std::pair<std::string_view, Mode>, 5> modes{
      {{"tile", bench_tile}, {"pass", bench_pass}, {"ring", bench_ring}, {"scale", bench_scale}, {"rows", bench_rows}}};
  for (const auto &[name, measure] : modes) {
    if (name != settings.mode) continue;
    const BenchLine line = measure(communicator, options, settings);
    if (communicator.rank() == 0) print_line(line);
  }
  return 0;
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) {
  std::vector<char *> words(argv, argv + argc);
  std::string mode = "-mode";  // flashring-bench tile ... is flashring-bench -mode tile ...
  if (argc > 1 && argv[1][0] != '-') words.insert(words.begin() + 1, mode.data());
  const auto count = static_cast<int>(words.size());
  words.push_back(nullptr);
  return flashring::run_driver(count, words.data(), flashring::text, flashring::run);
}
