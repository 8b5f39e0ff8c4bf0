// flashring-attention as a user meets it: golden arrays on any number of ranks, all storages, files, bad input.
#include <algorithm>
#include <cmath>
#include <sstream>
#include <tuple>

#include "drivers/diffmap.hpp"
#include "io/hdf5_writer.hpp"

namespace flashring::test {
namespace {

class AttentionDriver : public Diffmap {
 protected:
  static Outcome attend(int ranks, const std::string &arguments) {
    return run_command(on_ranks(ranks, FLASHRING_ATTENTION " " + arguments) + " 2>&1");
  }
  static void expect_refusal(int ranks, const std::string &arguments, std::initializer_list<const char *> words) {
    const Outcome result = attend(ranks, arguments);
    expect_refused(result, arguments, words);
    const std::string error = "error: rank";
    EXPECT_EQ(result.output.find(error), result.output.rfind(error)) << "told more than once: " << result.output;
  }
  static std::string golden(const std::string &name) {
    return std::string(FLASHRING_GOLDEN_FOLDER) + "/attention_" + name + ".npy";
  }
  /// Bytes behind the header of an NPY file that this library or NumPy wrote.
  static std::string values(const std::string &file) {
    std::ifstream stream(file, std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(stream), {}};
    return all.substr(10 + static_cast<unsigned char>(all.at(8)) + 256U * static_cast<unsigned char>(all.at(9)));
  }
  template <class T>
  static std::vector<T> numbers(const std::string &file) {
    const std::string bytes = values(file);
    std::vector<T> all(bytes.size() / sizeof(T));
    std::memcpy(all.data(), bytes.data(), bytes.size());
    return all;
  }
  template <class T>
  static void expect_near(const std::string &file, const std::string &name, double tolerance) {
    const std::vector<T> found = numbers<T>(file);
    const std::vector<double> wanted = numbers<double>(golden(name));
    ASSERT_EQ(found.size(), wanted.size()) << name;
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], wanted[i], tolerance) << name << " at " << i;
  }
  /// The golden array with its numbers rounded to float.
  std::string as_float(const std::string &name, const std::string &shape) const {
    const std::vector<double> numbers_of = numbers<double>(golden(name));
    const std::vector<float> rounded(numbers_of.begin(), numbers_of.end());
    write_npy(name + "4.npy", "<f4", shape, {reinterpret_cast<const char *>(rounded.data()), 4 * rounded.size()});
    return path(name + "4.npy");
  }
};

/// A number of O, dQ, dK, dV is at most 6 and a sum of up to 13 keys (dK, dV: 26 queries) whose terms pass a dot
/// product of 5, an exponential and a quotient: less than 100 roundings of numbers below 20 in all.
constexpr double roundings = 100 * 20;

TEST_F(AttentionDriver, GoldenNumbersOnAnyNumberOfRanks) {
  const std::string input = "-q " + golden("q") + " -k " + golden("k") + " -v " + golden("v") + " -do " + golden("do") +
                            " -backward -causal -lengths 13,9 -output ";
  for (const int ranks : {1, 2, 3, 5}) {
    const std::string name = "out" + std::to_string(ranks);
    const char *backend = ranks == 2 ? " -backend simd:scalar" : "";
    const Outcome result = attend(ranks, input + path(name) + backend);
    ASSERT_EQ(result.code, 0) << result.output;
    for (const char *array : {"o", "dq", "dk", "dv"})
      expect_near<double>(path(name + "/" + array + ".npy"), array, roundings * 1.2e-16);
    const nlohmann::json r = report(name);
    EXPECT_EQ(r["status"], "complete");
    EXPECT_EQ(r["B"], 2);
    EXPECT_EQ(r["H"], 4);
    EXPECT_EQ(r["H_kv"], 2);
    EXPECT_EQ(r["N_q"], 13);
    EXPECT_EQ(r["D"], 5);
    EXPECT_EQ(r["D_v"], 3);
    EXPECT_EQ(r["storage"], "fp64");
    EXPECT_EQ(r["causal"], true);
    EXPECT_EQ(r["padded"], true);
    EXPECT_EQ(r["passes"], 2);
    EXPECT_GT(r["backward"]["gflops"], 0);
    for (const char *call : {"forward", "backward"}) {
      EXPECT_EQ(r[call]["passes"], 1);
      EXPECT_GT(r[call]["tiles_visited"], 0);
      EXPECT_GE(r[call]["tiles_skipped"], 0);
    }
    if (ranks == 2) {
      EXPECT_EQ(r["target"], "scalar");
      EXPECT_NE(result.output.find("simd (scalar)"), std::string::npos) << result.output;
    }
  }
}

/// Bytes of a token more, with D = D_v = 16 in fp32: eight arrays as they lie in files 8 * 64 = 512; in tiles q and k
/// 2 * 68, the columns of both sides 2 * 128, their sums in fp64 2 * 256, five numbers of rows 40: 1,456, and a tenth
/// of it for what tiles carry. A stored row of scores would be 32 KiB. What -dry_run says is that, and what a run
/// takes.
TEST_F(AttentionDriver, MemoryGrowsWithTokensAsPlanned) {
  struct Peak {
    double planned, taken;
  };
  const auto peak_of = [&](const std::string &op, int tokens) {
    const std::string name = op + std::to_string(tokens);
    const std::string run = "-generate normal:n=" + std::to_string(tokens) + ",d=16 -threads 1 -backward -op " + op +
                            " -output " + path(name);
    const Outcome dry = attend(1, run + " -dry_run");
    EXPECT_NE(dry.output.find("forward: "), std::string::npos) << dry.output;
    EXPECT_FALSE(fs::exists(path(name)));
    EXPECT_EQ(attend(1, run).code, 0);
    const double planned = 1e6 * std::stod(dry.output.substr(dry.output.find("peak ") + 5));
    return Peak{planned, report(name)["peak_bytes_per_rank"][0].get<double>()};
  };
  for (const char *op : {"softmax", "entmax"}) {
    const Peak few = peak_of(op, 1024);
    const Peak many = peak_of(op, 4096);
    EXPECT_LT(many.taken, many.planned) << op;
    EXPECT_LT(many.taken - few.taken, 1.2 * (many.planned - few.planned)) << op;
    if (op == std::string("softmax")) {
      EXPECT_NEAR((many.planned - few.planned) / (4096 - 1024), 1456, 150);
    }
  }
  expect_refusal(2, "-generate normal:n=2000000000,d=64 -output " + path("large"),
                 {"MB per rank", "of the 2000000000 tokens would fit"});
}

/// With the identity for V the output is P, whose numbers above 0 can be counted.
TEST_F(AttentionDriver, MonitorTellsWhatTilesKnow) {
  std::vector<double> identity(2 * 2 * 13 * 13, 0.0);
  for (std::size_t n = 0; n < identity.size(); n += 14) {
    identity[n] = 1;
    if (n % 169 == 168) n -= 13;  // the next matrix
  }
  write_npy("i.npy", "<f8", "(2, 2, 13, 13)", {reinterpret_cast<const char *>(identity.data()), 8 * identity.size()});
  const std::string input = "-q " + golden("q") + " -k " + golden("k") + " -overwrite -monitor " + path("m") +
                            " -output " + path("m_out") + " -v ";
  ASSERT_EQ(attend(3, input + path("i.npy") + " -op sparsemax").code, 0);
  const std::vector<double> p = numbers<double>(path("m_out/o.npy"));
  const nlohmann::json forward = nlohmann::json::parse(bytes_of("m"));
  EXPECT_EQ(forward["call"], "forward");
  EXPECT_EQ(forward["rows"], 2 * 4 * 13);
  EXPECT_EQ(forward["mean_support"],
            static_cast<double>(std::count_if(p.begin(), p.end(), [](double x) { return x > 0; })) / (2 * 4 * 13));
  EXPECT_GT(forward["tiles_visited"], 0);
  EXPECT_TRUE(forward["mean_entropy"].is_null());
  ASSERT_EQ(attend(2, input + golden("v") + " -do " + golden("do") + " -backward -op entmax -alpha 1.5,2,1.5,2").code,
            0);
  const std::string lines = bytes_of("m");
  const nlohmann::json backward = nlohmann::json::parse(lines.substr(lines.find('\n')));
  double square = 0;
  for (const char *array : {"dq", "dk", "dv"})
    for (const double x : numbers<double>(path("m_out/" + std::string(array) + ".npy"))) square += x * x;
  EXPECT_NEAR(backward["gradient_norm"], std::sqrt(square), 1e-12 * std::sqrt(square));
  EXPECT_EQ(backward["alpha"]["mean"], 1.75);
  EXPECT_EQ(backward["passes"], 1);
  EXPECT_TRUE(backward["mean_support"].is_null());
}

/// diffmax with an alpha for each head: beside the roundings above a threshold to 1e-14 of a power e = 1/(1 - alpha)
/// below 4.
TEST_F(AttentionDriver, ThresholdFamiliesOnAnyNumberOfRanks) {
  const std::string input = "-q " + golden("q") + " -k " + golden("k") + " -v " + golden("v") + " -do " + golden("do") +
                            " -op diffmax -backward -causal -output ";
  for (const int ranks : {1, 3}) {
    const std::string name = "out" + std::to_string(ranks);
    const char *alphas = ranks == 1 ? " -alpha 0.3,0.5,0.6,0.7" : " -complements -alpha 0.7,0.5,0.4,0.3";
    const Outcome result = attend(ranks, input + path(name) + alphas);
    ASSERT_EQ(result.code, 0) << result.output;
    for (const char *array : {"o", "dq", "dk", "dv", "dalpha"})
      expect_near<double>(path(name + "/" + array + ".npy"), std::string("diffmax_") + array, 10 * roundings * 1.2e-16);
    EXPECT_EQ(report(name)["op"], "diffmax");
    EXPECT_GT(report(name)["threshold"]["iterations"], 0);
    EXPECT_LT(report(name)["threshold"]["sum_error"], 1e-12);
    EXPECT_GT(report(name)["backward"]["tiles_visited"], 0);
  }
}

/// The same in single precision, with keys from HDF5 and the mask from a file.
TEST_F(AttentionDriver, FloatArraysAndOtherFiles) {
  const std::vector<double> k = numbers<double>(golden("k"));
  {
    const Hdf5Writer file(folder_ / "k.h5");
    file.dataset("keys", H5T_IEEE_F32BE, H5T_NATIVE_DOUBLE, {2, 2, 13, 5}, k.data(), {1, 2, 4, 5}, 4);
  }
  std::string mask(26, '\1');
  std::fill(mask.begin() + 22, mask.end(), '\0');
  write_npy("mask.npy", "|b1", "(2, 13)", mask);
  const Outcome result =
      attend(2, "-q " + as_float("q", "(2, 4, 13, 5)") + " -k " + path("k.h5") + ":/keys -v " +
                    as_float("v", "(2, 2, 13, 3)") + " -do " + as_float("do", "(2, 4, 13, 3)") + " -key_padding " +
                    path("mask.npy") + " -causal -backward -repeats 3 -output " + path("out"));
  ASSERT_EQ(result.code, 0) << result.output;
  for (const char *array : {"o", "dq", "dk", "dv"})
    expect_near<float>(path("out/" + std::string(array) + ".npy"), array, roundings * 6e-8);
  EXPECT_EQ(report("out")["repeats"], 3);
  EXPECT_EQ(report("out")["precision"], "fp32");
}

/// A scale of 0 makes all weights equal: O is the mean of V, which every storage holds exactly.
TEST_F(AttentionDriver, EveryStorageComesBack) {
  struct Case {
    const char *descr, *written, *arguments;
    std::string one, three, two;  // bits of 1, 3 and their mean
  };
  const std::vector<Case> cases{
      {"<f8", "<f8", "", std::string("\0\0\0\0\0\0\xF0\x3F", 8), std::string("\0\0\0\0\0\0\x08\x40", 8),
       std::string("\0\0\0\0\0\0\0\x40", 8)},
      {"<f2", "<f2", "-backend amx:emulated", std::string("\0\x3C", 2), std::string("\0\x42", 2),
       std::string("\0\x40", 2)},
      {"<V2", "<V2", "", std::string("\x80\x3F", 2), std::string("\x40\x40", 2), std::string("\0\x40", 2)},
      {"<u2", "<V2", "-bf16", std::string("\x80\x3F", 2), std::string("\x40\x40", 2), std::string("\0\x40", 2)}};
  const std::string x = path("x.npy");
  const std::string input = "-q " + x + " -k " + x + " -v " + x + " -scale 0 -overwrite -output " + path("out") + " ";
  for (const Case &c : cases) {
    write_npy("x.npy", c.descr, "(2, 1)", c.one + c.three);
    const Outcome result = attend(2, input + c.arguments);
    ASSERT_EQ(result.code, 0) << result.output;
    EXPECT_EQ(values(path("out/o.npy")), c.two + c.two) << c.descr;
    if (c.arguments == std::string("-backend amx:emulated")) {
      EXPECT_EQ(report("out")["target"], "emulated");
    }
    EXPECT_NE(bytes_of("out/o.npy").find(c.written), std::string::npos) << c.descr;
    EXPECT_FALSE(fs::exists(folder_ / "out/dq.npy"));
  }
}

TEST_F(AttentionDriver, GeneratedTokensDoNotDependOnRanks) {
  const std::string input = "-options_file " FLASHRING_CONFIGS
                            "/attention.opts -generate "
                            "normal:b=2,h=4,h_kv=2,n=70,d=8,storage=fp64 -lengths 70,33 -output ";
  for (const int ranks : {1, 3}) ASSERT_EQ(attend(ranks, input + path("g" + std::to_string(ranks))).code, 0);
  for (const char *array : {"o.npy", "dq.npy", "dk.npy", "dv.npy"}) {
    const std::vector<double> one = numbers<double>(path(std::string("g1/") + array));
    const std::vector<double> three = numbers<double>(path(std::string("g3/") + array));
    ASSERT_EQ(one.size(), three.size());
    // Sums of at most 140 terms below 20, in another order.
    for (std::size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], three[i], 140 * 20 * 1.2e-16) << array;
  }
}

/// Whole heads on each rank, with the alphas and keys that belong to them, and tokens of all heads on each: as one
/// rank.
TEST_F(AttentionDriver, FewTokensStayTogether) {
  const std::string input =
      "-generate normal:h=4,h_kv=2,n=40,d=4,storage=fp64 -op diffmax -alpha 0.3,0.5,0.6,0.7 -lengths 30 -backward ";
  ASSERT_EQ(attend(1, input + "-output " + path("one")).code, 0);
  for (const auto &[split, words] :
       {std::pair{"auto", "heads are spread over ranks"}, std::pair{"tokens", "tokens of every sequence are spread"}}) {
    const Outcome result = attend(2, input + "-split " + split + " -output " + path(split));
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
    for (const std::string array : {"o", "dq", "dk", "dv", "dalpha"}) {
      const std::vector<double> one = numbers<double>(path("one/" + array + ".npy"));
      const std::vector<double> two = numbers<double>(path(std::string(split) + "/" + array + ".npy"));
      ASSERT_EQ(one.size(), two.size());
      // Thresholds as above; sums of 80 terms below 20, of 40 rows more in dalpha.
      for (std::size_t n = 0; n < one.size(); ++n)
        ASSERT_NEAR(one[n], two[n], 40 * 80 * 20 * 1.2e-16) << split << ' ' << array;
    }
  }
  expect_refusal(3, input + "-split sequences", {"2 key heads", "no part for each of 3 ranks"});
  // A score that overflows has its place in the whole batch, whichever rank it is on.
  std::vector<double> q = numbers<double>(golden("q"));
  q[(1 * 4 + 2) * 65 + 7 * 5 + 1] = 1e308;
  write_npy("q.npy", "<f8", "(2, 4, 13, 5)", {reinterpret_cast<const char *>(q.data()), 8 * q.size()});
  expect_refusal(2,
                 "-q " + path("q.npy") + " -k " + golden("k") + " -v " + golden("v") +
                     " -scale 100 -split sequences -output " + path("over"),
                 {"error: rank 1: scores: batch 1, head 2, row 7 has one"});
}

/// diffmax with alpha = 0.5 and entmax with a = 1.5 are one: rows 7 and 56 on of the golden file
/// (tests/golden/README.md). Numbers are below 20; 13 entries, a threshold and two powers are less than 100 roundings.
TEST_F(AttentionDriver, RowsOfScoresOnAnyNumberOfRanks) {
  const std::string folder = FLASHRING_GOLDEN_FOLDER "/threshold_";
  const std::vector<double> wanted = numbers<double>(folder + "rows.npy");
  const std::string input =
      " -backward -scores " + folder + "scores.npy -do " + folder + "gradient.npy -overwrite -output " + path("s");
  for (const auto &[ranks, op, alpha, first] : {std::tuple{1, "diffmax", "0.5", 7},
                                                {3, "diffmax", "0.5", 7},
                                                {2, "entmax", "1.5,1.5,1.5,1.5,1.5,1.5,1.5", 56}}) {
    const Outcome result = attend(ranks, std::string("-op ") + op + " -alpha " + alpha + input +
                                             " -repeats 2 -backend simd:scalar -monitor " + path("m"));
    ASSERT_EQ(result.code, 0) << result.output;
    EXPECT_EQ(report("s")["target"], "scalar");
    const std::vector<double> p = numbers<double>(path("s/o.npy"));
    const std::vector<double> dx = numbers<double>(path("s/dx.npy"));
    const std::vector<double> d_alpha = numbers<double>(path("s/dalpha.npy"));
    ASSERT_EQ(p.size(), 91U);
    double sum = 0;
    for (std::size_t i = 0; i < 7; ++i) {
      const double *row = &wanted[(static_cast<std::size_t>(first) + i) * 27];
      for (std::size_t j = 0; j < 13; ++j) {
        ASSERT_NEAR(p[13 * i + j], row[j], roundings * 1.2e-16) << op << ranks;
        ASSERT_NEAR(dx[13 * i + j], row[13 + j], roundings * 1.2e-16) << op << ranks;
      }
      const bool each = ranks == 2;  // one number for each row, otherwise one for all
      sum = each ? row[26] : sum + row[26];
      ASSERT_EQ(d_alpha.size(), each ? 7U : 1U);
      if (each || i == 6) {
        ASSERT_NEAR(d_alpha[each ? i : 0], sum, 91 * roundings * 1.2e-16) << op << ranks;
      }
    }
    const std::string lines = bytes_of("m");
    std::istringstream stream(lines);
    int calls = 0;
    for (std::string line; std::getline(stream, line); ++calls) {
      const nlohmann::json told = nlohmann::json::parse(line);
      const bool back = calls % 2 == 1;
      EXPECT_EQ(told["call"], back ? "backward" : "forward");
      EXPECT_EQ(told["gradient_norm"].is_null(), !back);
      EXPECT_EQ(told["alpha_gradient_norm"].is_null(), !back);
    }
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(report("s")["shape"], nlohmann::json({7, 13}));
  }
}

/// Two heads of the same scores, each with its alpha: families 0 and 1 of the golden file.
TEST_F(AttentionDriver, EveryHeadHasItsAlpha) {
  const std::string folder = FLASHRING_GOLDEN_FOLDER "/threshold_";
  const std::string x = values(folder + "scores.npy");
  write_npy("x.npy", "<f8", "(2, 7, 13)", x + x);
  const std::string input = "-scores " + path("x.npy") + " -op diffmax -alpha 0.2,0.5 -output ";
  ASSERT_EQ(attend(2, input + path("h")).code, 0);
  const std::vector<double> wanted = numbers<double>(folder + "rows.npy");
  const std::vector<double> p = numbers<double>(path("h/o.npy"));
  ASSERT_EQ(p.size(), 182U);
  for (std::size_t i = 0; i < p.size(); ++i)
    ASSERT_NEAR(p[i], wanted[i / 13 * 27 + i % 13], roundings * 1.2e-16) << "value " << i;
  // The same for each row by itself.
  const std::string of_rows = "0.2,0.2,0.2,0.2,0.2,0.2,0.2,0.5,0.5,0.5,0.5,0.5,0.5,0.5";
  ASSERT_EQ(attend(2, "-scores " + path("x.npy") + " -op diffmax -alpha " + of_rows + " -output " + path("r")).code, 0);
  EXPECT_TRUE(values(path("r/o.npy")) == values(path("h/o.npy")));
  // A head for each row: heads are what is spread over ranks, alphas with them.
  write_npy("y.npy", "<f8", "(7, 1, 13)", x);
  write_npy("g.npy", "<f8", "(7, 1, 13)", values(folder + "gradient.npy"));
  const std::string of_heads = "-scores " + path("y.npy") + " -do " + path("g.npy") +
                               " -backward -overwrite -op diffmax -alpha 0.2,0.5,0.2,0.5,0.2,0.5,0.2 -monitor " +
                               path("m") + " -output " + path("y");
  ASSERT_EQ(attend(1, of_heads).code, 0);
  const auto results = [&] {
    return values(path("y/o.npy")) + values(path("y/dx.npy")) + values(path("y/dalpha.npy"));
  };
  const std::string alone = results();
  const std::string lines = bytes_of("m");
  const Outcome spread = attend(3, of_heads);
  EXPECT_NE(spread.output.find("every rank has whole rows: axis 0"), std::string::npos) << spread.output;
  EXPECT_TRUE(results() == alone);
  // Sums over ranks: seven terms.
  const nlohmann::json wanted_line = nlohmann::json::parse(lines.substr(lines.find('\n')));
  const std::string found = bytes_of("m");
  const nlohmann::json line = nlohmann::json::parse(found.substr(found.find('\n')));
  for (const auto &[key, value] : line.items()) {
    if (value.is_number()) {
      EXPECT_NEAR(value.get<double>(), wanted_line[key].get<double>(), 1e-14) << key;
    }
  }
}

/// Fewer rows than ranks: each rank has a part of them.
TEST_F(AttentionDriver, AFewRowsAreSplitOverRanks) {
  const std::string row = values(std::string(FLASHRING_GOLDEN_FOLDER) + "/threshold_scores.npy").substr(0, 13 * 8);
  write_npy("r.npy", "<f8", "(1, 13)", row);
  const std::string input = "-scores " + path("r.npy") + " -op diffmax -alpha 0.2 -overwrite -output " + path("r");
  const Outcome dry = attend(3, input + " -dry_run");
  for (const char *word : {"1 rows of scores", "forward: about"})
    EXPECT_NE(dry.output.find(word), std::string::npos) << dry.output;
  EXPECT_FALSE(fs::exists(path("r")));
  const Outcome result = attend(3, input);
  EXPECT_NE(result.output.find("every rank has a part of each row: axis 1"), std::string::npos) << result.output;
  const std::vector<double> wanted = numbers<double>(std::string(FLASHRING_GOLDEN_FOLDER) + "/threshold_rows.npy");
  const std::vector<double> p = numbers<double>(path("r/o.npy"));
  for (std::size_t j = 0; j < 13; ++j) ASSERT_NEAR(p[j], wanted[j], roundings * 1.2e-16);
}

/// Rows along the first axis are those of the transposed array.
TEST_F(AttentionDriver, RowsAlongAnyAxis) {
  const std::vector<double> x = numbers<double>(std::string(FLASHRING_GOLDEN_FOLDER) + "/threshold_scores.npy");
  std::vector<double> turned(x.size());
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < 13; ++j) turned[j * 7 + i] = x[i * 13 + j];
  write_npy("t.npy", "<f8", "(13, 7)", {reinterpret_cast<const char *>(turned.data()), 8 * turned.size()});
  const std::string alphas = " -op diffmax -alpha 0.2,0.3,0.4,0.5,0.6,0.7,0.8 -output ";
  ASSERT_EQ(attend(1, "-scores " FLASHRING_GOLDEN_FOLDER "/threshold_scores.npy" + alphas + path("a")).code, 0);
  ASSERT_EQ(attend(5, "-scores " + path("t.npy") + " -dim 0" + alphas + path("b")).code, 0);
  const std::vector<double> a = numbers<double>(path("a/o.npy"));
  const std::vector<double> b = numbers<double>(path("b/o.npy"));
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < 13; ++j) ASSERT_NEAR(a[i * 13 + j], b[j * 7 + i], roundings * 1.2e-16);
}

/// What files show is in tests/io/test_attention_files.cpp.
TEST_F(AttentionDriver, BadInputIsRefused) {
  const std::string q = golden("q"), k = golden("k"), v = golden("v");
  const std::string all = "-q " + q + " -k " + k + " -v " + v + " -output " + path("out") + " ";
  expect_refusal(3, "-q " + k + " -k " + q + " -v " + q, {"has 2 heads", "has 4", "must be a multiple"});
  expect_refusal(3, all + "-backward", {"-backward needs the gradient of the output", "-do FILE"});
  expect_refusal(1, all + "-key_padding " + q, {"-key_padding", "has shape (2, 4, 13, 5), 4 axes", "(B, N_k)"});
  expect_refusal(1, all + "-causal_offset 1", {"-causal_offset without a causal mask", "add -causal"});
  expect_refusal(1, "-generate normal:n=8,n_k=9,d=2 -causal", {"8 queries and 9 keys", "causal_offset"});
  expect_refusal(2, all + "-repeats 0", {"-repeats: 0 is not positive"});
  expect_refusal(1, all + "-beta 3", {"unused option -beta"});
  const std::string scores = "-scores " FLASHRING_GOLDEN_FOLDER "/threshold_scores.npy -output " + path("out");
  expect_refusal(1, all + "-dim 1", {"-dim has no effect without -scores"});
  expect_refusal(2, all + "-op diffmax -alpha 1.5", {"alpha", "1.5"});
  expect_refusal(3, scores + " -op diffmax -alpha 1", {"alpha", "1"});
  expect_refusal(1, scores + " -alpha 0.5", {"-alpha has no effect with -op softmax"});
  expect_refusal(1, scores + " -backward", {"-backward and -do FILE", "go together"});
  expect_refusal(1, scores + " -backward -do " + q,
                 {"has shape (2, 4, 13, 5) of fp64", "(7, 13) of fp64", "both alike"});
  expect_refusal(2, scores + " -op entmax -alpha 1.5,1.5,1.5,1.5,1.5,3,1.5", {"-alpha: row 5", "a of entmax is 3"});
  expect_refusal(1, scores + " -lengths 3", {"-lengths has no effect with -scores", "-infinity"});
  expect_refusal(1, scores + " -op entmax -complements", {"give -alpha, too"});
  std::vector<double> bad = numbers<double>(q);
  bad[(1 * 4 + 2) * 65 + 7 * 5 + 1] = std::nan("");
  write_npy("bad.npy", "<f8", "(2, 4, 13, 5)", {reinterpret_cast<const char *>(bad.data()), 8 * bad.size()});
  expect_refusal(3, "-q " + path("bad.npy") + " -k " + k + " -v " + v + " -output " + path("out"),
                 {"bad.npy: batch 1, head 2, row 7, column 1", "NaN", "padding, too"});
  expect_refusal(1, "-scores " + path("bad.npy"), {"bad.npy: batch 1, head 2, row 7, column 1", "mask entries"});
  EXPECT_FALSE(fs::exists(folder_ / "out/o.npy"));
}

}  // namespace
}  // namespace flashring::test
