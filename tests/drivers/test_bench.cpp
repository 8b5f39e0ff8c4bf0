// flashring-bench as a user meets it: the arithmetic of its line against counts by hand, on 1, 2 and 3 ranks, and what
// it says to bad input. Times are not tested.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "drivers/program.hpp"
#include "flashring/options.hpp"
#include "flashring/tile.hpp"

namespace flashring::test {
namespace {

using Json = nlohmann::json;

/// `ranks` 0: without mpirun. Standard error is left out unless asked for.
Outcome run(int ranks, const std::string &arguments, bool with_errors = false) {
  const std::string launcher =
      ranks == 0 ? std::string() : std::string(FLASHRING_MPIEXEC) + " -n " + std::to_string(ranks) + " ";
  return run_command(launcher + FLASHRING_BENCH + " " + arguments + (with_errors ? " 2>&1" : " 2>/dev/null") +
                     " </dev/null");
}

/// The one line of a short run.
Json line_of(int ranks, const std::string &arguments) {
  const Outcome result = run(ranks, arguments + " -repeats 2 -seconds 0");
  EXPECT_EQ(result.code, 0) << arguments << "\n" << result.output;
  EXPECT_EQ(result.output.find('\n'), result.output.size() - 1) << "more than one line:\n" << result.output;
  return Json::parse(result.output, nullptr, false);
}

void expect_error(int ranks, const std::string &arguments, std::initializer_list<const char *> words) {
  expect_refused(run(ranks, arguments, true), arguments, words);
}

/// Rows of every tile when N rows are cut into `ranks` even blocks, the first ones a row longer, and those into tiles.
std::vector<double> tiles_of(int n, int ranks, int tile_rows) {
  std::vector<double> tiles;
  for (int rank = 0; rank < ranks; ++rank)
    for (int left = n / ranks + (rank < n % ranks ? 1 : 0); left > 0; left -= tile_rows)
      tiles.push_back(std::min(left, tile_rows));
  return tiles;
}

/// Pairs of points whose tiles serve one side, and both: pair by pair of tiles, each once.
struct Counted {
  double one = 0, both = 0;
  double calls_one = 0, calls_both = 0;
};

Counted count(const Json &line) {
  const std::vector<double> tiles = tiles_of(line["n"], line["ranks"], line["tile_rows"]);
  const bool own = line["sides"] == "own";
  Counted counted;
  for (std::size_t i = 0; i < tiles.size(); ++i)
    for (std::size_t j = 0; j < tiles.size(); ++j) {
      const bool one_sided = own || i == j;
      if (!one_sided && j < i) continue;
      (one_sided ? counted.one : counted.both) += tiles[i] * tiles[j];
      (one_sided ? counted.calls_one : counted.calls_both) += 1;
    }
  return counted;
}

TileShape shape_of(const Json &line) {
  OperatorOptions op;
  op.set("precision", line["precision"].get<std::string>());
  op.set("pair", line["pair"].get<std::string>());
  return {
      op.pair, line["row"] == "sum" ? RowKind::sum : RowKind::logsumexp, 0, op.precision, line["d"], line["columns"],
      {}};
}

Rates rates_of(const Json &json) {
  const auto rate = [&](const char *kind) {
    return json[kind].is_null() ? std::numeric_limits<double>::infinity() : json[kind].get<double>();
  };
  return {rate("multiply_adds"), rate("adds"), rate("exponentials"), rate("products")};
}

void expect_near(double value, double expected) { EXPECT_NEAR(value, expected, 1e-12 * std::abs(expected)); }

/// Everything that follows from sizes, rates and seconds.
void expect_arithmetic(const Json &line) {
  SCOPED_TRACE(line.dump());
  const Backend &backend = find_backend(line["options"]["backend"].get<std::string>());
  const TileShape shape = shape_of(line);
  const Counted counted = count(line);
  const double n = line["n"];
  EXPECT_EQ(line["backend"], backend.name);
  EXPECT_EQ(line["pairs"], counted.one + counted.both);
  EXPECT_EQ(line["effective_pairs"], n * n);
  const TileCost one = backend.cost(shape, Sides::own);
  const TileCost both = backend.cost(shape, Sides::both);
  expect_near(line["flops"], counted.one * one.flops() + counted.both * both.flops());
  const double seconds = line["seconds"];
  EXPECT_GT(seconds, 0);
  EXPECT_GE(seconds, line["seconds_best"].get<double>());
  EXPECT_GE(line["repeats"], 2);
  expect_near(line["pairs_per_second"], n * n / seconds);
  expect_near(line["evaluated_pairs_per_second"], line["pairs"].get<double>() / seconds);
  expect_near(line["flops_per_second"], line["flops"].get<double>() / seconds);
  if (line["limit_seconds"].is_null()) return;
  const double limit = line["limit_seconds"];
  expect_near(line["fraction"], limit / seconds);
  expect_near(line["limit_pairs_per_second"], n * n / limit);
  if (line["mode"] == "scale") return;
  expect_near(line["fraction_best"], limit / line["seconds_best"].get<double>());
  const Rates rates = rates_of(line["rates"]);
  const double workers = line["ranks"].get<double>() * line["threads"].get<double>();
  expect_near(limit, (counted.one * rates.seconds(one) + counted.both * rates.seconds(both)) / workers);
}

/// The best rates are at least those of the first and last measurement. Additions are measured beside multiply-adds.
void expect_best_rates(const Json &line) {
  const auto together = [](const Rates &rates) { return 1 / (1 / rates.multiply_adds + 1 / rates.adds); };
  const Rates best = rates_of(line["rates"]);
  for (const char *when : {"rates_first", "rates_last"}) {
    const Rates rates = rates_of(line[when]);
    EXPECT_GE(best.multiply_adds, rates.multiply_adds);
    EXPECT_GE(together(best), 0.999 * together(rates));
    EXPECT_GE(best.exponentials, rates.exponentials);
    EXPECT_GE(best.products, rates.products);
  }
}

TEST(Bench, TileCountsEveryPairOfTilesOnce) {
  for (const char *what : {"-n 700 -d 3", "-n 256 -d 1 -precision fp32", "-n 1 -d 2", "-n 513 -d 40 -columns 7"}) {
    const Json line = line_of(0, std::string("tile ") + what);
    expect_arithmetic(line);
    EXPECT_EQ(line["mode"], "tile");
    EXPECT_EQ(line["link_bytes"], 0);
    EXPECT_EQ(line["threads"], 1);
    if (!line["rates"].is_null()) expect_best_rates(line);
  }
}

TEST(Bench, OneSidedWorkCountsEveryEntry) {
  for (const char *what : {"-sides own", "-row logsumexp", "-row logsumexp -sides own -columns 5 -precision fp32",
                           "-row logsumexp -pair inner_exp:s=0.1", "-row logsumexp -pair inner_exp:s=100"}) {
    const Json line = line_of(0, std::string("tile -n 600 -d 4 ") + what);
    expect_arithmetic(line);
    EXPECT_EQ(line["sides"], "own");
    EXPECT_EQ(line["options"]["sides"], "own");
    EXPECT_EQ(line["pairs"], 600 * 600);
  }
}

/// 100 rows are tiles of 64 and 36 in `ref`: two one-sided calls and one two-sided, by hand.
TEST(Bench, RefStatesNoLimitAndCountsAsByHand) {
  const Json line = line_of(0, "tile -backend ref -n 100 -d 2 -columns 3");
  expect_arithmetic(line);
  ASSERT_EQ(line["tile_rows"], 64);
  EXPECT_EQ(line["pairs"], 64 * 64 + 36 * 36 + 64 * 36);
  const double payload = static_cast<double>(find_backend("ref").payload_bytes(shape_of(line)));
  const double side = 64 * 3 * 8 + 2 * 64 * 3 * 8;  // columns read, sums read and written
  EXPECT_EQ(line["bytes"], 3 * 2 * payload + 2 * side + 2 * side);
  for (const char *field : {"fraction", "fraction_best", "limit_seconds", "limit_pairs_per_second", "rates"})
    EXPECT_TRUE(line[field].is_null()) << field;
}

/// Operations of a pair of points that serves both sides, and of a pass over two tiles: two one-sided pairs of tiles
/// and one for both sides. Each has one exponential; a multiply-add is 2 operations, an exponential 10.
void expect_operations(int features, double multiply_adds, double adds) {
  const Backend &simd = find_backend("simd");
  const Json line = line_of(0, "tile -backend simd -precision fp32 -n " + std::to_string(2 * simd.tile_rows) + " -d " +
                                   std::to_string(features));
  const TileCost cost = simd.cost(shape_of(line), Sides::both);
  EXPECT_EQ(cost.multiply_adds, multiply_adds);
  EXPECT_EQ(cost.adds, adds);
  EXPECT_EQ(cost.exponentials, 1);
  EXPECT_EQ(cost.products, 0);
  const double pairs = static_cast<double>(simd.tile_rows) * simd.tile_rows;
  EXPECT_EQ(line["flops"], pairs * (2 * (2 * (multiply_adds - 1) + adds + 10) + (2 * multiply_adds + adds + 10)));
}

/// A pair of points with few features takes a subtraction and a multiply-add for each, with many a multiply-add for
/// each and one sum of norms; and a multiply-add for each side.
TEST(Bench, OperationsOfTheGaussianAreThoseCountedByHand) {
  expect_operations(3, 3 + 2, 3);
  expect_operations(17, 17 + 2, 1);
}

/// Independent standard normal features: the median squared distance is taken as 2d.
TEST(Bench, TheLengthScaleNeedsNoSample) {
  EXPECT_EQ(line_of(0, "tile -n 300 -d 4")["pair"], "gaussian:beta=0.0625");
  EXPECT_EQ(line_of(0, "tile -n 300 -d 8 -pair laplacian")["pair"], "laplacian:ell=4");
  EXPECT_EQ(line_of(0, "tile -n 300 -d 8 -beta 0.5")["pair"], "gaussian:beta=0.5");
}

TEST(Bench, PassOnOneTwoAndThreeRanks) {
  for (const int ranks : {1, 2, 3})
    for (const char *what : {"-n 700 -d 3 -precision fp32", "-n 1000 -d 20 -columns 9 -threads 2"}) {
      const Json line = line_of(ranks, std::string("pass ") + what);
      EXPECT_EQ(line["ranks"], ranks);
      expect_arithmetic(line);
      EXPECT_EQ(line["link_bytes"] == 0, ranks == 1);
      EXPECT_GE(line["wait_fraction"], 0);
      EXPECT_LE(line["wait_fraction"], 1);
      expect_near(line["memory_ratio"],
                  line["memory_bytes"].get<double>() / line["memory_formula_bytes"].get<double>());
    }
}

/// In fp64 the formula counts what a pass needs and a little more; stacks and buffers of libraries, about 3 MB, come on
/// top. Points of many features: much memory in little time.
TEST(Bench, MemoryOfAPassIsThatOfTheFormula) {
  for (const int ranks : {1, 2, 3}) {
    const Json line = line_of(ranks, "pass -n 4500 -d 640 -threads 1");
    std::printf("%d ranks: %.1f MB measured, %.1f MB by formula\n", ranks, 1e-6 * line["memory_bytes"].get<double>(),
                1e-6 * line["memory_formula_bytes"].get<double>());
    EXPECT_LT(line["memory_ratio"], 1.3);
    EXPECT_GT(line["memory_ratio"], 0.5);
  }
}

/// Two ranks of one tile each: a rank sends its columns, and one side of the pair that they share.
TEST(Bench, RingTellsEveryExchangeAndRoute) {
  const int rows = find_backend("auto").tile_rows;
  const Json line = line_of(2, "ring -n " + std::to_string(2 * rows) + " -d 3 -exchange resident -route travel");
  expect_arithmetic(line);
  ASSERT_EQ(line["variants"].size(), 4U);
  const double payload = static_cast<double>(find_backend("auto").payload_bytes(shape_of(line)));
  const double moved = 2.0 * (rows * 8 + rows * 8);
  for (const Json &variant : line["variants"]) {
    const bool resident = variant["exchange"] == "resident";
    EXPECT_EQ(variant["link_bytes"], resident ? moved : moved + 2 * payload) << variant.dump();
    EXPECT_GE(variant["wait_fraction"], 0);
    EXPECT_LE(variant["wait_fraction"], 1);
    EXPECT_LE(variant["seconds_best"], variant["seconds"]);
  }
  const Json &asked = line["variants"][3];
  EXPECT_EQ(asked["exchange"], "resident");
  EXPECT_EQ(asked["route"], "travel");
  EXPECT_EQ(line["seconds"], asked["seconds"]);
  EXPECT_EQ(line_of(1, "ring -n 300")["link_bytes"], 0);
  EXPECT_EQ(line_of(3, "ring -n 1000")["variants"].size(), 4U);
}

TEST(Bench, ScaleIsMeasuredAgainstOneThread) {
  for (const int ranks : {1, 2, 3}) {
    const Json line = line_of(ranks, "scale -n 900 -d 3 -threads 2");
    expect_arithmetic(line);
    EXPECT_EQ(line["threads"], 2);
    const double workers = 2.0 * ranks;
    const double single = line["single_seconds"];
    expect_near(line["limit_seconds"], single / workers);
    expect_near(line["speedup"], single / line["seconds"].get<double>());
    expect_near(line["fraction"], line["speedup"].get<double>() / workers);
    EXPECT_LE(line["single_seconds_best"], single);
    expect_near(line["fraction_best"],
                line["single_seconds_best"].get<double>() / workers / line["seconds_best"].get<double>());
  }
}

TEST(Bench, RowsOfScoresBesideACopy) {
  for (const char *what : {"-n 100 -rows 7", "-n 1 -rows 1 -precision fp32", "-n 300 -rows 5 -op diffmax -alpha 0.5"}) {
    const Json line = line_of(0, std::string("rows ") + what);
    const double rows = line["rows"];
    EXPECT_EQ(line["options"]["rows"], std::to_string(line["rows"].get<int>()));
    for (const char *part : {"copy", "forward", "backward"}) {
      const Json &times = line[part];
      expect_near(times["entries_per_second"], rows * line["n"].get<double>() / times["seconds"].get<double>());
      expect_near(times["fraction"], line["copy"]["seconds"].get<double>() / times["seconds"].get<double>());
      EXPECT_LE(times["seconds_best"], times["seconds"]);
    }
    EXPECT_LE(line["sum_error"], line["precision"] == "fp64" ? 1e-13 : 1e-5);
  }
}

TEST(Bench, TheLineSaysWhatRanWhere) {
  const Json line = line_of(0, "tile -n 300 -d 3 -seed 7");
  for (const char *field : {"program", "version", "git", "date", "cpu", "target", "pair", "precision"})
    EXPECT_FALSE(line[field].get<std::string>().empty()) << field;
  EXPECT_GE(line["build"].size(), 5U);
  EXPECT_EQ(line["options"]["seed"], "7");
  EXPECT_EQ(line["options"]["n"], "300");
  // The numbers are on standard output, words on standard error.
  const Outcome words = run(0, "tile -n 300 -repeats 1 -seconds 0", true);
  for (const char *word : {"work ", "ceilings ", "limit ", "measured ", "fraction "})
    EXPECT_NE(words.output.find(word), std::string::npos) << word << "\n" << words.output;
}

TEST(Bench, BadOptions) {
  expect_error(2, "", {"no mode", "tile, pass, ring, scale or rows"});
  expect_error(2, "tiles", {"-mode: 'tiles'", "tile, pass, ring, scale"});
  expect_error(2, "pass -columns 65", {"-columns: 65", "[1, 64]"});
  expect_error(0, "tile -columns 0", {"-columns: 0", "[1, 64]"});
  expect_error(0, "tile -n 0", {"-n: 0"});
  expect_error(0, "tile -d x", {"-d: 'x'"});
  expect_error(0, "tile -d 0", {"-d: 0", "[1, 1048576]"});
  expect_error(2, "pass -d 1048577", {"-d: 1048577", "[1, 1048576]"});
  expect_error(0, "tile -repeats 0", {"-repeats: 0"});
  expect_error(0, "tile -seconds -1", {"-seconds: -1"});
  expect_error(0, "tile -seconds nan", {"-seconds: nan", "finite"});
  expect_error(0, "tile -row max", {"-row: 'max'", "sum, logsumexp"});
  expect_error(0, "tile -sides left", {"-sides: 'left'", "both, own"});
  expect_error(0, "tile -row logsumexp -sides both", {"-row logsumexp", "-sides own"});
  expect_error(2, "pass -row logsumexp", {"-row belongs to mode tile"});
  expect_error(0, "tile -threads 2", {"-threads", "pass or scale"});
  expect_error(0, "pass -threads 4294967297", {"-threads: 4294967297", "[0, 4096]"});
  expect_error(0, "tile -route travel", {"-route belongs to the other modes"});
  expect_error(0, "tile -exchange auto", {"-exchange belongs to the other modes"});
  expect_error(0, "tile -transport self", {"-transport belongs to the other modes"});
  expect_error(0, "tile -alpha 1", {"-alpha belongs to mode rows"});
  expect_error(2, "tile", {"one rank", "2"});
  expect_error(0, "tile -op entmax", {"-op belongs to mode rows"});
  expect_error(0, "rows -d 3", {"-d belongs to the other modes"});
  expect_error(0, "rows -rows -1", {"-rows: -1"});
  expect_error(0, "rows -op max", {"'max'", "sparsemax"});
  expect_error(0, "rows -alpha 1", {"a of entmax is 1"});
  expect_error(0, "rows -precision reduced", {"fp64 and fp32"});
  expect_error(2, "rows", {"one rank", "2"});
  expect_error(0, "tile -backend gpu", {"gpu", "ref", "simd"});
  expect_error(0, "tile -backend simd:avx9", {"simd:avx9", "auto, ref, ", "simd:scalar"});
  expect_error(0, "tile -precision half", {"half", "fp64, fp32"});
  expect_error(0, "tile -pair inner_exp", {"inner_exp:s=VALUE"});
  expect_error(0, "tile -points x.npy", {"unused option -points"});
  expect_error(0, "pass tile", {"'tile'"});
  for (const char *mode : {"pass", "ring", "scale"})
    expect_error(2, std::string(mode) + " -n 2000 -d 2 -pair inner_exp:s=100", {"inner_exp:s=100", "an s nearer to 0"});
  expect_error(2, "pass -n 100000000000", {"this run needs", "would fit"});
  expect_error(2, "ring -n 100000000000", {"every exchange and route", "fewer points, or mode pass"});
}

/// An error that every rank has is said once, with one rank's name at most.
TEST(Bench, ErrorsAreSaidOnce) {
  for (const char *what : {"pass -n 2000 -pair inner_exp:s=100", "pass -pair inner_exp", "pass -backend gpu"}) {
    const Outcome result = run(2, what, true);
    EXPECT_EQ(result.output.find("error:"), result.output.rfind("error:")) << result.output;
    EXPECT_EQ(result.output.find("rank 0: rank 0:"), std::string::npos) << result.output;
    EXPECT_EQ(result.output.find("ABORT"), std::string::npos) << result.output;
  }
}

}  // namespace
}  // namespace flashring::test
