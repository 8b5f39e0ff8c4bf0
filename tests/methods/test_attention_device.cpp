// Attention of arrays on a device, which is none: the bits of the same kernels with arrays of the host, and no array
// copied.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "support/attention_case.hpp"
#include "support/error_of.hpp"
#include "support/fake_device.hpp"

namespace flashring::test {
namespace {

AlignedBuffer in_memory_of(const Device *device, const std::vector<std::byte> &bytes) {
  AlignedBuffer buffer(device);
  if (bytes.empty()) return buffer;
  buffer.resize(bytes.size());
  BufferWriter writer(buffer, bytes.size());
  std::memcpy(writer.next(), bytes.data(), bytes.size());
  writer.finish();
  return buffer;
}

std::vector<std::byte> bytes_of(const AlignedBuffer &buffer) {
  if (buffer.size() == 0) return {};
  BufferReader reader(buffer, buffer.size());
  const std::byte *bytes = reader.next();
  return {bytes, bytes + buffer.size()};
}

/// Bits of all results of this rank.
struct Results {
  std::vector<std::byte> o, d_q, d_k, d_v;
  std::vector<double> log_sum_exp, d_alpha;
  double bytes_copied = 0;
};

Results run(const AttentionProblem &p, const AttentionOptions &options, Storage storage) {
  const Device *device = options.memory == MemorySpace::device ? options.kernels->device : nullptr;
  Attention attention(world(), p.shape, options);
  const auto given = [&](const std::vector<double> &whole, int width, const RowPartition &rows) {
    const std::vector<double> part = local_part<double>(whole, width, rows);
    std::vector<std::byte> stored(part.size() * storage_bytes(storage));
    store_numbers(part.data(), std::ssize(part), stored.data(), storage, 0, 1);
    return in_memory_of(device, stored);
  };
  AlignedBuffer q = given(p.q, p.shape.width, attention.query_partition());
  AlignedBuffer k = given(p.k, p.shape.width, attention.key_partition());
  AlignedBuffer v = given(p.v, p.shape.value_width, attention.key_partition());
  AlignedBuffer d_o = given(p.d_o, p.shape.value_width, attention.query_partition());
  const auto empty = [&](const AlignedBuffer &like) {
    return in_memory_of(device, std::vector<std::byte>(like.size(), std::byte{0xff}));
  };
  AlignedBuffer o = empty(d_o);
  AlignedBuffer d_q = empty(q);
  AlignedBuffer d_k = empty(k);
  AlignedBuffer d_v = empty(v);
  const Local<float> local(p, attention);
  const AttentionInput input{{q.data(), storage}, {k.data(), storage}, {v.data(), storage}, local.key_padding};
  Results r;
  const AttentionSaved saved = attention.forward(input, {o.data(), storage});
  r.bytes_copied += attention.report().pass.bytes_copied;
  r.o = bytes_of(o);
  r.log_sum_exp = saved.log_sum_exp;
  if (!options.gradient) return r;
  r.d_alpha = attention.backward(input, {o.data(), storage}, saved, {d_o.data(), storage}, {d_q.data(), storage},
                                 {d_k.data(), storage}, {d_v.data(), storage});
  r.bytes_copied += attention.report().pass.bytes_copied;
  r.d_q = bytes_of(d_q);
  r.d_k = bytes_of(d_k);
  r.d_v = bytes_of(d_v);
  return r;
}

/// Takes 10 columns in a pass of softmax, so that outputs are written part by part.
const Backend &narrow_device() {
  static const Backend backend = [] {
    Backend made = fake_device();
    made.supports = [](const TileShape &shape) {
      return fake_device().supports(shape) && (shape.row != RowKind::logsumexp || shape.columns <= 10);
    };
    return made;
  }();
  return backend;
}

AttentionProblem problem(bool causal) {
  AttentionProblem p = random_attention({2, 4, 2, 90, 90, 5, 18}, 51);
  p.causal = causal;
  p.key_padding.assign(2 * 90, 1);
  p.key_padding[90 + 7] = p.key_padding[3] = 0;
  return p;
}

AttentionOptions options_of(const AttentionProblem &p, const std::string &op, MemorySpace memory) {
  AttentionOptions options = options_for(p);
  options.op = op;
  if (op == "diffmax") options.alpha = {0.3, 0.4, 0.5, 0.6};
  options.kernels = &narrow_device();
  options.memory = memory;
  return options;
}

void expect_the_same(const std::string &op, bool causal, Storage storage, bool gradient = true) {
  SCOPED_TRACE(op + (causal ? " causal " : " ") + std::string(storage_name(storage)));
  const AttentionProblem p = problem(causal);
  const auto run_in = [&](MemorySpace memory) {
    AttentionOptions options = options_of(p, op, memory);
    options.gradient = options.ensure_sum_one = gradient;
    return run(p, options, storage);
  };
  const Results expected = run_in(MemorySpace::host);
  const Results found = run_in(MemorySpace::device);
  EXPECT_EQ(found.o, expected.o);
  EXPECT_EQ(found.d_q, expected.d_q);
  EXPECT_EQ(found.d_k, expected.d_k);
  EXPECT_EQ(found.d_v, expected.d_v);
  EXPECT_EQ(found.log_sum_exp, expected.log_sum_exp);
  EXPECT_EQ(found.d_alpha, expected.d_alpha);
  EXPECT_EQ(found.bytes_copied, expected.bytes_copied);  // what goes round the ring
}

TEST(AttentionDevice, ArraysThereGiveTheSameBits) {
  expect_the_same("softmax", true, Storage::fp64);
  expect_the_same("softmax", false, Storage::bf16);
  expect_the_same("diffmax", false, Storage::fp16);
  expect_the_same("entmax", true, Storage::fp32);
  expect_the_same("sparsemax", false, Storage::fp32, false);
  EXPECT_EQ(fake_device_bytes(), 0U);
}

TEST(AttentionDevice, NumbersThatAreNotFiniteAreNamed) {
  AttentionProblem p = problem(true);
  const std::size_t at = ((1 * 2 + 1) * 90 + 71) * 5 + 3;  // of k
  p.k[at] = std::numeric_limits<double>::quiet_NaN();
  const std::string of_k = error_of([&] { run(p, options_of(p, "softmax", MemorySpace::device), Storage::bf16); });
  EXPECT_NE(of_k.find("k: batch 1, head 1, row 71, column 3 is nan"), std::string::npos) << of_k;
  p.k[at] = 0;
  p.d_o[((0 * 4 + 2) * 90 + 20) * 18 + 17] = 1e6;
  const std::string of_d_o = error_of([&] { run(p, options_of(p, "entmax", MemorySpace::device), Storage::fp16); });
  EXPECT_NE(of_d_o.find("dO: batch 0, head 2, row 20, column 17 is inf"), std::string::npos) << of_d_o;
}

}  // namespace
}  // namespace flashring::test
