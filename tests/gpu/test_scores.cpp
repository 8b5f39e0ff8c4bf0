// Rows of scores on a GPU against the reference, and arrays that lie in its memory: rows, and those of attention.
#include "flashring/attention.hpp"
#include "flashring/buffer.hpp"
#include "flashring/devices.hpp"
#include "gpu/blocks.hpp"
#include "support/threshold_rows.hpp"

namespace flashring::test {
namespace {

class GpuScores : public ::testing::Test {
 protected:
  void SetUp() override {
    if (list_devices().empty()) GTEST_SKIP() << why_no_device();
  }
};

/// An array in the memory of the device.
template <class T>
class There {
 public:
  explicit There(const std::vector<T> &values) : count_(values.size()), buffer_(find_backend("cuda").device) {
    buffer_.resize(count_ * sizeof(T));
    buffer_.device()->upload(buffer_.data(), reinterpret_cast<const std::byte *>(values.data()), count_ * sizeof(T));
    wait_for(buffer_.device());
  }
  T *data() { return reinterpret_cast<T *>(buffer_.data()); }
  std::vector<T> values() const {
    std::vector<T> all(count_);
    buffer_.device()->download(reinterpret_cast<std::byte *>(all.data()), buffer_.data(), count_ * sizeof(T));
    wait_for(buffer_.device());
    return all;
  }

 private:
  std::size_t count_;
  AlignedBuffer buffer_;
};

Numbers masked_normals(std::int64_t count, std::uint64_t seed) {
  Numbers x = normals(count, run_seed() + seed, 2);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 10 == 3 ? -infinity : static_cast<float>(x[i]);
  return x;
}

/// Bounds as in test_threshold_splits.cpp, wider for sums over a million entries, whose parts are added in another
/// order.
void expect_like_reference(const std::vector<ThresholdRowsOptions> &families, std::int64_t rows, std::int64_t n) {
  const Numbers x = masked_normals(rows * n, 1);
  const Numbers g = normals(rows * n, run_seed() + 2);
  for (ThresholdRowsOptions options : families) {
    options.monitor = true;
    options.backend = "ref";
    options.threads = 0;
    const Result expected = run(options, {rows, n, 1}, x, g);
    options.backend = "cuda";
    const Result result = run(options, {rows, n, 1}, x, g);
    const std::string what = name_of(options) + ", n " + std::to_string(n);
    expect_near(result.p, expected.p, 1e-12, "p of " + what);
    expect_near(result.dx, expected.dx, 1e-11, "dx of " + what);
    expect_near(result.parameter, expected.parameter, 1e-10 * static_cast<double>(rows), "parameter of " + what);
    EXPECT_NEAR(result.metrics.mean_support, expected.metrics.mean_support, 1) << what;
    EXPECT_EQ(run(options, {rows, n, 1}, x, g).dx, result.dx) << "again, " << what;
  }
}

TEST_F(GpuScores, AreThoseOfTheReference) {
  for (const std::int64_t n : {1, 30, 64, 1000, 5000, 30000, 300000, 1000000})
    expect_like_reference(
        {make("diffmax", 0.5), make("diffmax", 0.85), make("diffmax", 0.4, "porous"), make("softmax", 0)},
        n < 5000 ? 131 : 3, n);
}

/// Few rows of each way of cutting them, for tools that look at every access.
TEST_F(GpuScores, SmallOnesOfEachCut) {
  for (const std::int64_t n : {20, 70, 1500, 6000, 40000}) expect_like_reference({make("diffmax", 0.6)}, 2, n);
}

/// Twice fp32_bound: the special unit's exponential errs by 2 units in the last place more than the library's.
TEST_F(GpuScores, Fp32IsWithinItsRoundings) {
  for (const std::int64_t n : {64, 1024, 40000, 200000}) {
    const Numbers x = masked_normals(3 * n, 3);
    const std::vector<float> low(x.begin(), x.end());
    for (ThresholdRowsOptions options : {make("diffmax", 0.5), make("diffmax", 0.85), make("softmax", 0)}) {
      const Numbers exact = run(options, {3, n, 1}, x).p;
      options.backend = "cuda";
      ThresholdRows rows({3, n, 1}, options);
      std::vector<float> p(low.size());
      rows.forward(low.data(), Storage::fp32, p.data());
      const ThresholdFamily family = threshold_family(options.op, options.parameters[0]);
      for (std::size_t i = 0; i < p.size(); ++i)
        ASSERT_NEAR(p[i], exact[i], 2 * fp32_bound(family, exact[i])) << name_of(options) << ", n " << n;
    }
  }
}

TEST_F(GpuScores, ArraysOfTheDeviceGiveTheSameBits) {
  constexpr std::int64_t n = 700;
  const Numbers x = masked_normals(20 * n, 4);
  const Numbers g = normals(20 * n, run_seed() + 5);
  ThresholdRowsOptions options = make("entmax", 1.5);
  options.backend = "cuda";
  const Result expected = run(options, {4, n, 5}, x, g);
  options.memory = MemorySpace::device;
  options.backend = "auto";
  ThresholdRows rows({4, n, 5}, options);
  There<double> scores(x);
  There<double> result(x);
  There<double> gradient(g);
  const ThresholdSaved saved = rows.forward(scores.data(), Storage::fp64, result.data());
  EXPECT_EQ(result.values(), expected.p);
  rows.backward(scores.data(), saved, gradient.data(), Storage::fp64, gradient.data());
  EXPECT_EQ(gradient.values(), expected.dx);
  EXPECT_EQ(rows.bytes_copied(), 0);
}

/// The bits of the same kernels with arrays of the host; log-sum-exp by the logarithm of the device instead of the
/// host's, so softmax goes back from the host's in both. Nothing is copied but bits of pairs of tiles.
void expect_same_attention(const char *op) {
  const auto self = make_self_communicator();
  const AttentionShape shape{1, 2, 1, 300, 300, 16, 8};
  const auto draw = [](std::size_t count, std::uint64_t seed) {
    const Numbers x = normals(static_cast<std::int64_t>(count), run_seed() + seed);
    return std::vector<float>(x.begin(), x.end());
  };
  const std::vector<float> q = draw(2 * 300 * 16, 6);
  const std::vector<float> k = draw(300 * 16, 7);
  const std::vector<float> v = draw(300 * 8, 8);
  std::vector<float> o(2 * 300 * 8);
  std::vector<float> d_q(q.size());
  std::vector<float> d_k(k.size());
  std::vector<float> d_v(v.size());
  AttentionOptions options;
  options.op = op;
  options.backend = "cuda";
  Attention attention(*self, shape, options);
  const AttentionInput input{{q.data()}, {k.data()}, {v.data()}};
  const AttentionSaved saved = attention.forward(input, {o.data()});
  const double copied = attention.report().pass.bytes_copied;
  attention.backward(input, {o.data()}, saved, {o.data()}, {d_q.data()}, {d_k.data()}, {d_v.data()});

  options.memory = MemorySpace::device;
  Attention of_device(*self, shape, options);
  There<float> there_q(q), there_k(k), there_v(v), there_o(o), there_d_q(d_q), there_d_k(d_k), there_d_v(d_v);
  There<float> cleared(std::vector<float>(o.size()));
  const AttentionInput there{{there_q.data()}, {there_k.data()}, {there_v.data()}};
  AttentionSaved again = of_device.forward(there, {cleared.data()});
  EXPECT_EQ(cleared.values(), o);
  EXPECT_EQ(of_device.report().pass.bytes_copied, copied);
  expect_near(again.log_sum_exp, saved.log_sum_exp, 1e-14, "log-sum-exp");
  again.log_sum_exp = saved.log_sum_exp;
  of_device.backward(there, {there_o.data()}, again, {there_o.data()}, {there_d_q.data()}, {there_d_k.data()},
                     {there_d_v.data()});
  EXPECT_EQ(there_d_q.values(), d_q);
  EXPECT_EQ(there_d_k.values(), d_k);
  EXPECT_EQ(there_d_v.values(), d_v);
  EXPECT_EQ(of_device.report().pass.bytes_copied, attention.report().pass.bytes_copied);
}

TEST_F(GpuScores, AttentionTakesArraysOfTheDevice) {
  for (const char *op : {"softmax", "entmax"}) {
    SCOPED_TRACE(op);
    expect_same_attention(op);
  }
}

}  // namespace
}  // namespace flashring::test
