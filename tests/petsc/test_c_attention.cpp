// Attention through the C interface: the bits of class Attention, its rows, and what it refuses.
#include <gtest/gtest.h>

#include "flashring/attention.h"
#include "flashring/attention_files.hpp"
#include "petsc/simulation.hpp"
#include "support/petsc.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

TEST(CAttention, GivesTheBitsOfTheClass) {
  AttentionFiles files;
  files.generate = "normal:b=2,h=4,h_kv=2,n=13,d=5,d_v=3";
  files.lengths = "13,9";
  files.backward = true;
  const AttentionSources sources = open_attention(files, world());
  AttentionOptions options;
  options.causal = true;
  Attention attention(world(), sources.shape, options);
  const RowPartition &rows = attention.query_partition();
  const std::vector<std::byte> q = read_rows(sources.q, rows, false, world());
  const std::vector<std::byte> k = read_rows(sources.k, rows, false, world());
  const std::vector<std::byte> v = read_rows(sources.v, rows, false, world());
  const std::vector<std::byte> d_o = read_rows(sources.d_o, rows, false, world());
  const std::vector<std::uint8_t> mask = read_key_padding(files, sources.shape, rows, world());
  std::vector<std::byte> o(d_o.size()), d_q(q.size()), d_k(k.size()), d_v(v.size());
  const AttentionInput input{{q.data()}, {k.data()}, {v.data()}, mask};
  const AttentionSaved saved = attention.forward(input, {o.data()});
  attention.backward(input, {o.data()}, saved, {d_o.data()}, {d_q.data()}, {d_k.data()}, {d_v.data()});

  const FlashringAttentionShape shape{2, 4, 2, 13, 13, 5, 3};
  FlashringAttention c = nullptr;
  check_petsc(FlashringAttentionCreate(PETSC_COMM_WORLD, &shape, FLASHRING_FP32, &c), "create");
  check_petsc(FlashringAttentionSetOption(c, "causal", "true"), "option");
  expect_failure(FlashringAttentionSetOption(c, "windows", "3"), "'windows' is unknown to attention");
  expect_failure(FlashringAttentionSetOption(c, "memory", "disk"), "neither host nor device");
  PetscInt64 local = -1;
  check_petsc(FlashringAttentionGetRows(c, PETSC_FALSE, &local, nullptr), "count");
  ASSERT_EQ(local, rows.local_rows(world().rank()));
  std::vector<PetscInt64> list(static_cast<std::size_t>(local));
  check_petsc(FlashringAttentionGetRows(c, PETSC_TRUE, &local, list.data()), "rows");
  for (std::size_t i = 0; i < list.size(); ++i)
    EXPECT_EQ(list[i], rows.global_row(world().rank(), LocalRow{static_cast<std::int64_t>(i)}).value);
  expect_failure(FlashringAttentionSetOption(c, "causal", "false"), "comes after the first use");
  std::vector<std::byte> o2(o.size()), q2(q.size()), k2(k.size()), v2(v.size());
  const auto backward = [&] {
    return FlashringAttentionBackward(c, q.data(), k.data(), v.data(), mask.data(), o2.data(), d_o.data(), q2.data(),
                                      k2.data(), v2.data(), nullptr);
  };
  expect_failure(backward(), "call FlashringAttentionForward before");
  check_petsc(FlashringAttentionForward(c, q.data(), k.data(), v.data(), mask.data(), o2.data()), "forward");
  check_petsc(backward(), "backward");
  EXPECT_TRUE(o2 == o && q2 == d_q && k2 == d_k && v2 == d_v);
  check_petsc(FlashringAttentionDestroy(&c), "destroy");
  EXPECT_EQ(c, nullptr);
}

TEST(CAttention, NamesShapesThatDoNotFit) {
  const FlashringAttentionShape shape{1, 4, 3, 8, 8, 2, 2};
  FlashringAttention c = nullptr;
  check_petsc(FlashringAttentionCreate(PETSC_COMM_WORLD, &shape, FLASHRING_FP64, &c), "create");
  PetscInt64 local = 0;
  expect_failure(FlashringAttentionGetRows(c, PETSC_FALSE, &local, nullptr), "q has 4 heads and k has 3");
  check_petsc(FlashringAttentionDestroy(&c), "destroy");
}

}  // namespace
}  // namespace flashring::test
