// Operator options: what is read, what is refused, and what the refusals say.
#include <gtest/gtest.h>

#include "flashring/check.hpp"
#include "flashring/options.hpp"

namespace flashring::test {
namespace {

std::string refusal(const std::string &name, const std::string &value) {
  OperatorOptions options;
  try {
    options.set(name, value);
  } catch (const Error &error) {
    return error.what();
  }
  return {};
}

void expect_says(const std::string &message, const std::vector<std::string> &parts) {
  EXPECT_FALSE(message.empty()) << "nothing was refused";
  for (const std::string &part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
}

TEST(Options, DefaultsAreThoseOfTheDeclarations) {
  const OperatorOptions defaults;
  for (const Option &option : operator_options()) {
    EXPECT_EQ(defaults.get(option.name), option.fallback) << option.name;
    OperatorOptions set;
    EXPECT_NO_THROW(set.set(option.name, option.fallback)) << option.name;
    EXPECT_EQ(set.get(option.name), option.fallback) << option.name;
    EXPECT_FALSE(std::string(option.help).empty());
    EXPECT_FALSE(std::string(option.values).empty());
  }
}

TEST(Options, ValuesGoThereAndBack) {
  OperatorOptions options;
  for (const auto &[name, value] :
       std::initializer_list<std::pair<const char *, const char *>>{{"beta", "0.25"},
                                                                    {"alpha", "0.75"},
                                                                    {"form", "markov"},
                                                                    {"precision", "fp32"},
                                                                    {"backend", "simd:avx2"},
                                                                    {"transport", "self"},
                                                                    {"route", "travel"},
                                                                    {"threads", "3"},
                                                                    {"patience", "30"},
                                                                    {"seed", "18446744073709"}}) {
    options.set(name, value);
    EXPECT_EQ(options.get(name), value) << name;
  }
  EXPECT_FALSE(options.median);
  options.set("pair", "matern32");
  EXPECT_TRUE(options.median) << "a length that is left out comes from the median";
  options.set("pair", "matern32:ell=2");
  EXPECT_FALSE(options.median);
  options.set("pair", "gaussian");
  options.set("beta", "median");
  EXPECT_TRUE(options.median);
}

TEST(Options, RefusalsNameOptionValueAndRange) {
  for (const char *value : {"0", "-1", "nan", "inf", "x", "", "1e", "1 2"})
    expect_says(refusal("beta", value), {"beta", value});
  for (const char *value : {"-0.1", "1.1", "nan", "half"}) expect_says(refusal("alpha", value), {"alpha", value});
  expect_says(refusal("form", "square"), {"form", "square", "kernel", "symmetric", "markov"});
  expect_says(refusal("precision", "fp16"), {"precision", "fp16", "fp64", "fp32"});
  expect_says(refusal("route", "detour"), {"route", "detour", "direct", "travel"});
  // The larger ones would be 1 thread, or thousands of millions, in 32 bits.
  for (const char *value : {"-1", "4097", "4294967297", "100000000000"})
    expect_says(refusal("threads", value), {"threads", value, "[0, 4096]"});
  expect_says(refusal("threads", "two"), {"threads", "two"});
  EXPECT_EQ(refusal("threads", "4096"), "");
  for (const char *value : {"0", "-5", "86401", "1e3"}) expect_says(refusal("patience", value), {"patience", value});
  expect_says(refusal("seed", "1.5"), {"seed", "1.5"});
  expect_says(refusal("pair", "gausian"), {"gausian", "gaussian", "laplacian"});
  expect_says(refusal("colour", "red"), {"colour"});
  expect_says(refusal("beta", "slop"), {"beta", "slop", "median, slope or auto"});
}

TEST(Options, BetaBelongsToTheGaussian) {
  OperatorOptions options;
  options.set("pair", "laplacian:ell=2");
  EXPECT_THROW(options.set("beta", "0.5"), Error);
  EXPECT_EQ(options.pair.parameters[0], 2);
}

TEST(Options, NumbersAreReadWhole) {
  EXPECT_EQ(parse_real("x", "1e-3"), 1e-3);
  EXPECT_EQ(parse_integer("x", "-9223372036854775807"), -9223372036854775807);
  EXPECT_THROW(parse_real("x", "1,5"), Error);
  EXPECT_THROW(parse_integer("x", "9223372036854775808"), Error);
  EXPECT_THROW(parse_integer("x", "3 "), Error);
}

}  // namespace
}  // namespace flashring::test
