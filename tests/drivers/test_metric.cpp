// flashring-metric as a user meets it: the metric of a map on any number of ranks, the digits, bad input, dry run.
#include <algorithm>
#include <cmath>

#include "drivers/diffmap.hpp"
#include "io/hdf5_reader.hpp"

namespace flashring::test {
namespace {

class MetricDriver : public Diffmap {
 protected:
  static Outcome metric(int ranks, const std::string &arguments) {
    return run_command(on_ranks(ranks, FLASHRING_METRIC " " + arguments) + " 2>&1");
  }
  std::vector<double> array(const std::string &run_folder, const std::string &name) const {
    return read_dataset(folder_ / run_folder / "results.h5", name).values;
  }
};

/// configs/: medians over the digits from the dense reference. Vectors are off by residual / gap, below 1e-8 / 0.003.
TEST_F(MetricDriver, Digits) {
  const std::string configs = FLASHRING_CONFIGS;
  ASSERT_EQ(run(2, "-options_file " + configs + "/digits.opts -points " + configs +
                       "/digits.npy -eps_tol 1e-8 -output " + path("map"))
                .code,
            0);
  std::vector<double> first;
  const std::string given = "-options_file " + configs + "/digits_metric.opts -labels " + configs +
                            "/digits_labels.txt -model " + path("map/results.h5") + " -output ";
  for (const int ranks : {1, 3}) {
    const std::string name = ranks == 1 ? "alone" : "ranks";
    const Outcome result = metric(ranks, given + path(name));
    ASSERT_EQ(result.code, 0) << result.output;
    std::vector<double> values = array(name, "/eigenvalues");
    ASSERT_EQ(values.size(), 1797U * 9);
    std::vector<double> largest, second;
    for (std::size_t i = 0; i < 1797; ++i) {
      largest.push_back(values[9 * i]);
      second.push_back(values[9 * i + 1]);
    }
    std::vector<double> dimension = array(name, "/dimension");
    for (auto *numbers : {&largest, &second, &dimension})
      std::nth_element(numbers->begin(), numbers->begin() + 898, numbers->end());
    EXPECT_NEAR(largest[898], 5.66317167e-03, 1e-5 * 5.7e-3);
    EXPECT_NEAR(second[898], 1.65831279e-03, 1e-5 * 1.7e-3);
    EXPECT_NEAR(dimension[898], 2.4506199, 1e-4);
    const nlohmann::json r = report(name);
    EXPECT_EQ(r["passes"], 1);
    EXPECT_EQ(r["rank"], 3);
    EXPECT_EQ(r["lacking"], 0);
    EXPECT_NEAR(r["mean_dimension"].get<double>(), 2.8659719, 1e-4);
    EXPECT_TRUE(fs::exists(folder_ / name / "map.png"));
    const std::vector<double> gamma = array(name, "/gamma");
    ASSERT_EQ(gamma.size(), 1797U * 81);
    ASSERT_EQ(array(name, "/metric").size(), gamma.size());
    if (first.empty()) first = gamma;
    // Sums of some thousand positive terms and their mixtures, in another order.
    for (std::size_t at = 0; at < gamma.size(); ++at) ASSERT_NEAR(gamma[at], first[at], 1e-13) << at;
  }
}

TEST_F(MetricDriver, BadInputAndDryRun) {
  const std::string points = "-generate circle:n=60";
  ASSERT_EQ(run(1, points + " -beta 3 -nev 4 -output " + path("map")).code, 0);
  ASSERT_EQ(run(1, points + " -pair laplacian:ell=1 -nev 4 -output " + path("other")).code, 0);
  const std::string model = "-model " + path("map/results.h5");
  const std::string out = " -output " + path("out");
  const auto expect_refusal = [](const std::string &arguments, std::initializer_list<const char *> words) {
    expect_refused(metric(1, arguments), arguments, words);
  };
  expect_refusal("-rank 1" + out, {"-model is missing"});
  expect_refusal("-model " + path("other/results.h5") + out, {"laplacian", "4 beta"});
  expect_refusal(model + " -rank 4" + out, {"rank 4", "[1, 3]"});
  expect_refusal(model + " -rank 0" + out, {"rank 0", "[1, 3]"});
  expect_refusal(model + " -nev 5" + out, {"-nev: 5", "[2, 4]"});
  expect_refusal(model + " -overwrite -output " + path("map"), {"holds the model"});
  expect_refusal(model + " -precision fp32 -backend abacus" + out, {"abacus"});
  EXPECT_FALSE(fs::exists(folder_ / "out" / "results.h5"));
  const Outcome dry = metric(1, model + " -dry_run" + out);
  EXPECT_EQ(dry.code, 0) << dry.output;
  EXPECT_NE(dry.output.find("one pass: "), std::string::npos) << dry.output;
  // Two coordinates, and one, which has no picture.
  const std::string again = model + " -rank 1 -precision fp32 -overwrite" + out + " -nev ";
  for (const char *nev : {"3", "2"}) {
    const Outcome result = metric(2, again + nev);
    ASSERT_EQ(result.code, 0) << result.output;
    EXPECT_EQ(fs::exists(folder_ / "out" / "map.png"), *nev == '3') << result.output;
  }
}

}  // namespace
}  // namespace flashring::test
