// Attention and rows of scores through the C interface: the bits of the classes, options, metrics, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "flashring/attention.h"
#include "flashring/attention_files.hpp"
#include "flashring/attention_options.hpp"
#include "flashring/devices.hpp"
#include "petsc/simulation.hpp"
#include "support/petsc.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

using Texts = std::vector<std::pair<const char *, const char *>>;

FlashringAttention make(const FlashringAttentionShape &shape, FlashringStorage storage, const Texts &options = {}) {
  FlashringAttention made = nullptr;
  check_petsc(FlashringAttentionCreate(PETSC_COMM_WORLD, &shape, storage, &made), "create");
  for (const auto &[name, value] : options) check_petsc(FlashringAttentionSetOption(made, name, value), name);
  return made;
}

/// Arrays of this rank, and what the class makes of them.
struct OfClass {
  OfClass(const char *storage, const Texts &options) {
    AttentionFiles files;
    files.generate = std::string("normal:b=2,h=4,h_kv=2,n=13,d=5,d_v=3,storage=") + storage;
    files.lengths = "13,9";
    files.backward = true;
    const AttentionSources sources = open_attention(files, world());
    AttentionOptions how;
    for (const auto &[name, value] : options) set_option(how, name, value);
    Attention attention(world(), sources.shape, how);
    rows = attention.query_partition();
    q = read_rows(sources.q, rows, false, world());
    k = read_rows(sources.k, rows, false, world());
    v = read_rows(sources.v, rows, false, world());
    d_o = read_rows(sources.d_o, rows, false, world());
    mask = read_key_padding(files, sources.shape, rows, world());
    o.resize(d_o.size());
    d_q.resize(q.size());
    d_k.resize(k.size());
    d_v.resize(v.size());
    const Storage type = sources.q.storage;
    const AttentionInput input{{q.data(), type}, {k.data(), type}, {v.data(), type}, mask};
    const AttentionSaved saved = attention.forward(input, {o.data(), type});
    forward = attention.report();
    if (how.gradient)
      d_alpha = attention.backward(input, {o.data(), type}, saved, {d_o.data(), type}, {d_q.data(), type},
                                   {d_k.data(), type}, {d_v.data(), type});
  }
  RowPartition rows;
  std::vector<std::byte> q, k, v, d_o, o, d_q, d_k, d_v;
  std::vector<std::uint8_t> mask;
  std::vector<double> d_alpha;
  AttentionReport forward;
};

constexpr FlashringAttentionShape small{2, 4, 2, 13, 13, 5, 3};

double metric_of(FlashringAttention c, const char *name) {
  PetscReal value = -1;
  check_petsc(FlashringAttentionGetMetric(c, name, &value), name);
  return value;
}

void expect_same_bits(const char *storage, FlashringStorage type, const Texts &options) {
  SCOPED_TRACE(storage);
  const OfClass wanted(storage, options);
  FlashringAttention c = make(small, type, options);
  expect_failure(FlashringAttentionGetMetric(c, "passes", nullptr), "no call has been made");
  std::vector<std::byte> o(wanted.o.size()), q(wanted.q.size()), k(wanted.k.size()), v(wanted.v.size());
  std::vector<double> d_alpha(wanted.d_alpha.size());
  const auto backward = [&] {
    return FlashringAttentionBackward(c, wanted.q.data(), wanted.k.data(), wanted.v.data(), wanted.mask.data(),
                                      o.data(), wanted.d_o.data(), q.data(), k.data(), v.data(), d_alpha.data());
  };
  expect_failure(backward(), "call FlashringAttentionForward before");
  check_petsc(
      FlashringAttentionForward(c, wanted.q.data(), wanted.k.data(), wanted.v.data(), wanted.mask.data(), o.data()),
      "forward");
  EXPECT_TRUE(o == wanted.o);
  EXPECT_EQ(metric_of(c, "passes"), wanted.forward.passes);
  EXPECT_EQ(metric_of(c, "iterations"), wanted.forward.iterations);
  EXPECT_EQ(metric_of(c, "sum_error"), wanted.forward.sum_error);
  EXPECT_EQ(metric_of(c, "tiles_visited"), wanted.forward.tiles_visited);
  EXPECT_EQ(metric_of(c, "tiles_skipped"), wanted.forward.tiles_skipped);
  expect_failure(FlashringAttentionGetMetric(c, "colour", nullptr), "'colour' is unknown; known are passes");
  if (options.back().first == std::string("gradient")) {
    expect_failure(backward(), "gradient = true");
  } else {
    check_petsc(backward(), "backward");
    EXPECT_TRUE(q == wanted.d_q && k == wanted.d_k && v == wanted.d_v);
    EXPECT_EQ(d_alpha, wanted.d_alpha);
  }
  check_petsc(FlashringAttentionDestroy(&c), "destroy");
  EXPECT_EQ(c, nullptr);
}

TEST(CAttention, GivesTheBitsOfTheClass) {
  expect_same_bits("fp32", FLASHRING_FP32, {{"causal", "true"}});
  expect_same_bits("fp64", FLASHRING_FP64,
                   {{"op", "diffmax"}, {"alpha", "0.2,0.5,0.7,1e-9"}, {"complements", "true"}, {"causal", "true"}});
  expect_same_bits("bf16", FLASHRING_BF16, {{"op", "entmax"}, {"alpha", "1.5"}, {"ensure_sum_one", "false"}});
  expect_same_bits("fp16", FLASHRING_FP16, {{"op", "sparsemax"}, {"gradient", "false"}});
}

TEST(CAttention, RowsAndOptions) {
  const RowPartition rows = RowPartition::zigzag(13, world().size());
  FlashringAttention c = make(small, FLASHRING_FP32, {{"causal", "true"}});
  expect_failure(FlashringAttentionSetOption(c, "windows", "3"), "'windows' is unknown to attention");
  expect_failure(FlashringAttentionSetOption(c, "memory", "disk"), "neither host nor device");
  expect_failure(FlashringAttentionSetOption(c, "gradient", "yes"), "-gradient: 'yes' is neither true nor false");
  PetscInt64 local = -1;
  check_petsc(FlashringAttentionGetRows(c, PETSC_FALSE, &local, nullptr), "count");
  ASSERT_EQ(local, rows.local_rows(world().rank()));
  std::vector<PetscInt64> list(static_cast<std::size_t>(local));
  check_petsc(FlashringAttentionGetRows(c, PETSC_TRUE, &local, list.data()), "rows");
  for (std::size_t i = 0; i < list.size(); ++i)
    EXPECT_EQ(list[i], rows.global_row(world().rank(), LocalRow{static_cast<std::int64_t>(i)}).value);
  expect_failure(FlashringAttentionSetOption(c, "causal", "false"), "comes after the first use");
  check_petsc(FlashringAttentionDestroy(&c), "destroy");
}

TEST(CAttention, NamesWhatDoesNotFit) {
  const auto expect_refusal = [](const FlashringAttentionShape &shape, const Texts &options, const char *words) {
    FlashringAttention c = make(shape, FLASHRING_FP64, options);
    PetscInt64 local = 0;
    expect_failure(FlashringAttentionGetRows(c, PETSC_FALSE, &local, nullptr), words);
    check_petsc(FlashringAttentionDestroy(&c), "destroy");
  };
  expect_refusal({1, 4, 3, 8, 8, 2, 2}, {}, "q has 4 heads and k has 3");
  expect_refusal({1, 1, 1, 8, 9, 2, 2}, {{"causal", "true"}}, "8 queries and 9 keys");
  expect_refusal({1, 2, 1, 8, 8, 2, 2}, {{"op", "entmax"}, {"alpha", "1.5,2.5"}}, "query head 1 (counted from 0)");
  expect_refusal({1, 1, 1, 8, 8, 2, 2}, {{"op", "diffmax"}, {"complements", "true"}}, "without alpha");
  FlashringAttention c = make({1, 1, 1, 1, 1, 1, 1}, FLASHRING_FP64);
  const double bad = std::nan("");
  double o = 0;
  expect_failure(FlashringAttentionForward(c, &bad, &bad, &bad, nullptr, &o), "row 0, column 0 is nan");
  check_petsc(FlashringAttentionDestroy(&c), "destroy");
  FlashringThresholdRows rows = nullptr;
  expect_failure(FlashringThresholdRowsCreate(PETSC_COMM_WORLD, 1, 1, 1, static_cast<FlashringStorage>(9), &rows),
                 "storage 9 is unknown");
}

double metric_of(FlashringThresholdRows rows, const char *name) {
  PetscReal value = -1;
  check_petsc(FlashringThresholdRowsGetMetric(rows, name, &value), name);
  return value;
}

/// Sparsemax of two rows that are split in the middle: (1, 1/2, 0, 0) gives (3/4, 1/4, 0, 0), equal ones n equal
/// weights. Its derivative by a number is none.
TEST(CThresholdRows, SplitOverRanks) {
  const int size = world().size();
  const int rank = world().rank();
  std::vector<double> x = {0, 0, 1, 1};  // (2, 2) of this rank
  if (rank == 0) x = {1, .5, 1, 1};
  std::vector<double> p(4);
  FlashringThresholdRows rows = nullptr;
  check_petsc(FlashringThresholdRowsCreate(PETSC_COMM_WORLD, 2, 2, 1, FLASHRING_FP64, &rows), "create");
  check_petsc(FlashringThresholdRowsSetOption(rows, "op", "sparsemax"), "op");
  check_petsc(FlashringThresholdRowsSetOption(rows, "monitor", "true"), "monitor");
  std::vector<double> g = rank == 0 ? std::vector<double>{1, 0, 0, 0} : std::vector<double>(4, 0.0);
  double slope = 7;
  const auto backward = [&] { return FlashringThresholdRowsBackward(rows, x.data(), g.data(), g.data(), &slope); };
  expect_failure(backward(), "call FlashringThresholdRowsForward before");
  check_petsc(FlashringThresholdRowsForward(rows, x.data(), p.data()), "forward");
  const double equal = 1.0 / (2 * size);
  const std::vector<double> expected =
      rank == 0 ? std::vector<double>{.75, .25, equal, equal} : std::vector<double>{0, 0, equal, equal};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(p[i], expected[i], 1e-14);
  EXPECT_EQ(metric_of(rows, "rows"), 2);
  EXPECT_EQ(metric_of(rows, "mean_support"), 1 + size);
  EXPECT_TRUE(std::isnan(metric_of(rows, "gradient_norm")));
  check_petsc(backward(), "backward");
  EXPECT_NEAR(g[0], rank == 0 ? .5 : 0, 1e-14);
  EXPECT_NEAR(g[1], rank == 0 ? -.5 : 0, 1e-14);
  EXPECT_EQ(slope, 7);
  EXPECT_NEAR(metric_of(rows, "gradient_norm"), std::sqrt(.5), 1e-14);
  expect_failure(FlashringThresholdRowsGetMetric(rows, "colour", nullptr), "known are rows, iterations");
  expect_failure(FlashringThresholdRowsSetOption(rows, "causal", "true"), "'causal' is unknown to rows of scores");
  check_petsc(FlashringThresholdRowsSetOption(rows, "memory", "device"), "memory");
  if (list_devices().empty())
    expect_failure(FlashringThresholdRowsForward(rows, x.data(), p.data()), "cannot run on this machine");
  check_petsc(FlashringThresholdRowsDestroy(&rows), "destroy");
  EXPECT_EQ(rows, nullptr);
}

/// Numbers for each row, as w and otherwise, in fp32: the bits and metrics of the class, whose rows are whole here.
TEST(CThresholdRows, GivesTheBitsOfTheClass) {
  std::vector<float> x;
  for (int i = 0; i < 42; ++i) x.push_back(std::sin(static_cast<float>(i)) * 2);
  x[5] = -std::numeric_limits<float>::infinity();
  const std::vector<float> g(x.rbegin(), x.rend() - 6);
  FlashringThresholdRows c = nullptr;
  check_petsc(FlashringThresholdRowsCreate(PETSC_COMM_SELF, 3, 6, 2, FLASHRING_FP32, &c), "create");
  const std::vector<double> numbers = {0.9, 0.5, 1e-20};
  for (const bool complements : {true, false}) {
    ThresholdRowsOptions how;
    how.parameters = complements ? numbers : std::vector<double>{0.5};
    how.complements = complements;
    how.rows_per_group = complements ? 2 : 1;
    how.ensure_sum_one = complements;
    ThresholdRows rows({3, 6, 2}, how);
    std::vector<float> p(36), dx(36), p_of_c(36), dx_of_c(36);
    const ThresholdSaved saved = rows.forward(x.data(), Storage::fp32, p.data());
    const std::vector<double> d_alpha = rows.backward(x.data(), saved, g.data(), Storage::fp32, dx.data());
    std::vector<double> of_c(d_alpha.size());
    check_petsc(FlashringThresholdRowsSetOption(c, "complements", complements ? "true" : "false"), "complements");
    check_petsc(FlashringThresholdRowsSetOption(c, "ensure_sum_one", complements ? "true" : "false"), "sum");
    check_petsc(
        FlashringThresholdRowsSetAlpha(c, std::ssize(how.parameters), how.parameters.data(), how.rows_per_group),
        "alpha");
    check_petsc(FlashringThresholdRowsForward(c, x.data(), p_of_c.data()), "forward");
    check_petsc(FlashringThresholdRowsBackward(c, x.data(), g.data(), dx_of_c.data(), of_c.data()), "backward");
    EXPECT_EQ(p_of_c, p);
    EXPECT_EQ(dx_of_c, dx);
    EXPECT_EQ(of_c, d_alpha);
    EXPECT_EQ(metric_of(c, "alpha_min"), complements ? 1 - 0.9 : 0.5);
    EXPECT_EQ(metric_of(c, "alpha_gradient_norm"), rows.metrics().parameter_gradient_norm);
  }
  const double one = 1;
  check_petsc(FlashringThresholdRowsSetAlpha(c, 1, &one, 1), "alpha");
  std::vector<float> p(36);
  expect_failure(FlashringThresholdRowsForward(c, x.data(), p.data()), "must be in (0, 1)");
  expect_failure(FlashringThresholdRowsSetAlpha(c, 0, &one, 1), "0 numbers");
  check_petsc(FlashringThresholdRowsDestroy(&c), "destroy");
}

TEST(CAlphaMap, IsTheMapOfTheClass) {
  const AlphaMap map("tanh", 0.8, 3);
  PetscReal alpha = 0, complement = 0, derivative = 0, log_beta = 0;
  check_petsc(FlashringAlphaMap("tanh", 0.8, 3, -2, &alpha, &complement, &derivative), "map");
  EXPECT_EQ(alpha, map.value(-2));
  EXPECT_EQ(complement, map.complement(-2));
  EXPECT_EQ(derivative, map.derivative(-2));
  check_petsc(FlashringAlphaMapInverse("tanh", 0.8, 3, alpha, &log_beta), "inverse");
  EXPECT_EQ(log_beta, map.inverse(alpha));
  expect_failure(FlashringAlphaMap("line", 0.8, 3, -2, nullptr, nullptr, nullptr), "known are hill, tanh, exp");
}

}  // namespace
}  // namespace flashring::test
