// Who holds which number: the fragments of the PTX manual, the emulated words of a warp, strips, the layouts of shared
// memory and the steps of the tensor path, by brute force.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "sm80/strip_columns.hpp"
#include "sm80/tensor.hpp"
#include "support/cuda_block.hpp"
#include "support/fragments.hpp"
#include "support/oracle.hpp"

namespace flashring::test {
namespace {

/// Figures of the PTX manual for mma.m16n8k16 with 16-bit numbers: lane and element of some places, corners and steps.
struct Place {
  int row, column, lane, element;
};
constexpr Place a_places[] = {{0, 0, 0, 0}, {0, 1, 0, 1},   {0, 2, 1, 0},   {0, 7, 3, 1},   {0, 8, 0, 4}, {0, 15, 3, 5},
                              {1, 0, 4, 0}, {7, 0, 28, 0},  {7, 15, 31, 5}, {8, 0, 0, 2},   {8, 8, 0, 6}, {8, 15, 3, 7},
                              {9, 1, 4, 3}, {15, 0, 28, 2}, {15, 7, 31, 3}, {15, 15, 31, 7}};
constexpr Place b_places[] = {{0, 0, 0, 0},  {1, 0, 0, 1}, {2, 0, 1, 0},  {7, 0, 3, 1},  {8, 0, 0, 2},
                              {15, 0, 3, 3}, {0, 1, 4, 0}, {0, 7, 28, 0}, {9, 7, 28, 3}, {15, 7, 31, 3}};
constexpr Place c_places[] = {{0, 0, 0, 0},  {0, 1, 0, 1}, {0, 7, 3, 1},   {1, 0, 4, 0},
                              {7, 7, 31, 1}, {8, 0, 0, 2}, {15, 0, 28, 2}, {15, 7, 31, 3}};

TEST(Fragments, AreThoseOfTheManual) {
  for (const Place &p : a_places) {
    EXPECT_EQ(a_element(p.lane, p.element).row, p.row);
    EXPECT_EQ(a_element(p.lane, p.element).column, p.column);
  }
  for (const Place &p : b_places) {
    EXPECT_EQ(b_element(p.lane, p.element).row, p.row);
    EXPECT_EQ(b_element(p.lane, p.element).column, p.column);
  }
  for (const Place &p : c_places) {
    EXPECT_EQ(c_element(p.lane, p.element).row, p.row);
    EXPECT_EQ(c_element(p.lane, p.element).column, p.column);
  }
}

TEST(Fragments, EveryElementOnce) {
  std::set<std::pair<int, int>> a;
  std::set<std::pair<int, int>> b;
  std::set<std::pair<int, int>> c;
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 8; ++i) a.insert({a_element(lane, i).row, a_element(lane, i).column});
    for (int i = 0; i < 4; ++i) b.insert({b_element(lane, i).row, b_element(lane, i).column});
    for (int i = 0; i < 4; ++i) c.insert({c_element(lane, i).row, c_element(lane, i).column});
  }
  EXPECT_EQ(a.size(), 256U);
  EXPECT_EQ(b.size(), 128U);
  EXPECT_EQ(c.size(), 128U);
}

TEST(Fragments, StripsAreAccumulators) {
  for (int lane = 0; lane < 32; ++lane)
    for (int n = 0; n < 8; ++n)
      for (int e = 0; e < 4; ++e) {
        EXPECT_EQ(sm80::strip_row(lane, e), c_element(lane, e).row);
        EXPECT_EQ(sm80::strip_column(lane, n, e), 8 * n + c_element(lane, e).column);
      }
}

TEST(Fragments, AccumulatorsAreTheNextOperand) {
  for (int lane = 0; lane < 32; ++lane)
    for (int m = 0; m < 4; ++m)
      for (int i = 0; i < 8; ++i) {
        const sm80::OperandPart own = sm80::own_part(m, i / 2);
        EXPECT_EQ(sm80::strip_row(lane, own.element + i % 2), a_element(lane, i).row);
        EXPECT_EQ(sm80::strip_column(lane, own.block, own.element + i % 2), 16 * m + a_element(lane, i).column);
        // A transposed part holds the element whose row and column the lane's place has after movmatrix.
        const sm80::OperandPart part = sm80::visiting_part(m, i / 2);
        const int row = 8 * part.block + matrix_element(lane, i % 2).row;
        const int column = 8 * (part.element / 2) + matrix_element(lane, i % 2).column;
        EXPECT_EQ(row, 16 * m + a_element(lane, i).row);
        EXPECT_EQ(column, a_element(lane, i).column);
      }
}

/// The emulated product of whole numbers, which no rounding touches.
TEST(WarpWords, ProductsOfWholeNumbers) {
  CudaBlock block(32, CudaBlock::Order::shuffled);
  const auto a = [](int row, int k) { return static_cast<float>(row * 3 - k); };
  const auto b = [](int k, int column) { return static_cast<float>(column - 2 * k + 5); };
  block.run(0, 0, [&](CudaThread &t) {
    std::uint32_t x[4];
    std::uint32_t y[2];
    float sum[4];
    for (int r = 0; r < 4; ++r) {
      const Element low = a_element(t.lane(), 2 * r);
      x[r] = CudaThread::pack_bf16(a(low.row, low.column), a(low.row, low.column + 1));
    }
    for (int r = 0; r < 2; ++r) {
      const Element low = b_element(t.lane(), 2 * r);
      y[r] = CudaThread::pack_bf16(b(low.row, low.column), b(low.row + 1, low.column));
    }
    for (int e = 0; e < 4; ++e) sum[e] = static_cast<float>(100 * e);
    t.mma_bf16(sum, x, y);
    for (int e = 0; e < 4; ++e) {
      const Element at = c_element(t.lane(), e);
      float expected = static_cast<float>(100 * e);
      for (int k = 0; k < 16; ++k) expected += a(at.row, k) * b(k, at.column);
      EXPECT_EQ(sum[e], expected);
    }
  });
}

TEST(WarpWords, TheUnitCutsOff) {
  float a[16] = {};
  float b[16] = {};
  a[0] = b[0] = 1;
  EXPECT_EQ(unit_sum(0, a, b), 1);
  a[1] = 1;
  b[1] = -0x1p-26F;  // below the last bit that is kept beside 1
  EXPECT_EQ(unit_sum(0, a, b), 1);
  b[1] = -0x1p-25F;  // kept, and the sum is cut off to fp32
  EXPECT_EQ(unit_sum(0, a, b), 1 - 0x1p-24F);
  b[1] = 0x1p-23F * 0.75F;
  EXPECT_EQ(unit_sum(0, a, b), 1);
  b[1] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(unit_sum(0, a, b)));
}

TEST(WarpWords, CopiesComeWhenTheyAreWaitedFor) {
  CudaBlock block(32);
  alignas(16) std::byte from[32];
  for (std::size_t i = 0; i < 32; ++i) from[i] = std::byte(i);
  block.run(0, 64, [&](CudaThread &t) {
    if (t.lane() != 0) return;
    t.copy_async(t.shared(), from);
    t.commit_copies();
    t.copy_async(t.shared() + 16, from + 16);
    t.commit_copies();
    EXPECT_EQ(t.shared()[1], std::byte{0xff});
    t.wait_copies<1>();
    EXPECT_EQ(t.shared()[1], std::byte{1});
    EXPECT_EQ(t.shared()[17], std::byte{0xff});
    t.wait_copies<0>();
    EXPECT_EQ(t.shared()[17], std::byte{17});
  });
  EXPECT_THROW(block.run(0, 64, [&](CudaThread &t) { t.copy_async(t.shared() + 4, from); }), std::logic_error);
}

TEST(TensorLayouts, FragmentsOfChunks) {
  // Row and column that a lane gives to ldmatrix, and what the manual's fragments ask for.
  for (int lane = 0; lane < 32; ++lane) {
    const int matrix = lane / 8;
    const int r = lane % 8;
    EXPECT_EQ(sm80::own_fragment_offset(lane, 32), sm80::chunk_offset(32 + r + matrix % 2 * 8, matrix / 2 * 8));
    EXPECT_EQ(sm80::visiting_fragment_offset(lane, 64), sm80::chunk_offset(64 + r + matrix / 2 * 8, matrix % 2 * 8));
    EXPECT_EQ(sm80::own_fragment_offset(lane, 48) - sm80::own_fragment_offset(lane, 32), 16 * sm80::chunk_row_bytes);
  }
  for (int first = 0; first < 32; first += 8) {  // 8 reads of 16 bytes meet 32 banks once
    std::set<int> own;
    std::set<int> visiting;
    std::set<int> columns;
    for (int lane = first; lane < first + 8; ++lane) {
      own.insert(sm80::own_fragment_offset(lane, 0) / 16 % 8);
      visiting.insert(sm80::visiting_fragment_offset(lane, 0) / 16 % 8);
      columns.insert(sm80::column_offset(lane / 16 * 8 + lane % 8, lane / 8 % 2 * 8) / 16 % 8);
    }
    EXPECT_EQ(own.size() + visiting.size() + columns.size(), 24U);
  }
}

TEST(TensorLayouts, ColumnsDoNotMeet) {
  std::set<int> seen;
  for (int c = 0; c < sm80::tensor_columns; ++c)
    for (int row = 0; row < sm80::tile_rows; ++row) {
      EXPECT_TRUE(seen.insert(sm80::column_offset(c, row)).second);
      EXPECT_LT(sm80::column_offset(c, row), sm80::column_piece_bytes);
    }
  for (int lane = 0; lane < 32; ++lane)
    for (int row = 0; row < sm80::tile_rows; row += 16)  // what multiply_columns adds to its first address
      for (int c = 0; c < sm80::tensor_columns; c += 8)
        EXPECT_EQ(sm80::column_offset(lane % 8, row) + sm80::column_offset(c, 0),
                  sm80::column_offset(c + lane % 8, row));
}

TEST(TensorSteps, EveryChunkProductOnceAndInRoom) {
  for (const Precision precision : {Precision::fp32, Precision::reduced})
    for (const Accumulate accumulate : {Accumulate::squared_distance, Accumulate::inner})
      for (int d = 1; d <= 140; ++d) {
        const sm80::PieceLayout layout = sm80::piece_layout(d, precision, accumulate);
        std::multiset<std::pair<int, int>> expected;
        std::multiset<std::pair<int, int>> found;
        for (int n = 0; n < layout.chunk_products(); ++n)
          expected.insert({layout.chunk_pair(n).own, layout.chunk_pair(n).visiting});
        for (int s = 0; s < sm80::steps_of(layout); ++s) {
          const sm80::TensorStep step = sm80::step_at(layout, s);
          ASSERT_GE(step.count, 1);
          ASSERT_LE(step.count, sm80::straight_chunks(layout));
          for (int i = 0; i < step.count; ++i)
            for (int j = 0; j < step.count; ++j)
              if (step.crossed ? i + j < layout.pieces : i == j)
                found.insert({sm80::chunks_of(layout, step, i).own, sm80::chunks_of(layout, step, j).visiting});
        }
        ASSERT_EQ(found, expected) << d;
        // 99 KB are what a block may have on the smallest device from compute capability 8.0 on.
        const int columns = layout.pieces * sm80::column_piece_bytes;
        ASSERT_LE(sm80::tensor_shared(layout).fold + columns, 99 << 10) << d;
      }
}

TEST(Strips, HideIsVisible) {
  CudaBlock block(32);
  for (const std::int64_t shift :
       {std::int64_t{-200}, std::int64_t{-5}, std::int64_t{0}, std::int64_t{20}, std::int64_t{1} << 40})
    for (const Mask mask : {Mask{false, false}, Mask{true, false}, Mask{false, true}, Mask{true, true}})
      block.run(0, 0, [&](CudaThread &t) {
        const TileInfo own{GlobalRow{1000}, 40};
        const TileInfo visiting{GlobalRow{1000 + shift}, 70};
        sm80::Strip<8> s;
        for (auto &n : s.v)
          for (float &v : n) v = 1;
        const sm80::StripPlace place{32, 64};
        sm80::hide(t, mask, mask.active(), own, visiting, place, 7, s);
        for (int n = 0; n < 8; ++n)
          for (int e = 0; e < 4; ++e) {
            const int i = place.own + sm80::strip_row(t.lane(), e);
            const int j = place.visiting + sm80::strip_column(t.lane(), n, e);
            const bool counts = i < 40 && j < 70 && visible(mask, 1000 + i, 1000 + shift + j);
            EXPECT_EQ(s.v[n][e], counts ? 1 : 7) << i << " " << j;
          }
      });
}

TEST(Strips, SumsOverColumnsEndWhereTheyAreSaidTo) {
  CudaBlock block(32, CudaBlock::Order::backward);
  block.run(0, 0, [&](CudaThread &t) {
    sm80::Two sum[16];
    for (int n = 0; n < 16; ++n)
      for (int p = 0; p < 2; ++p)
        sum[n].v[p] = static_cast<float>(sm80::strip_column(t.lane(), n, p) + 1000 * (t.lane() / 4));
    sm80::sum_of_columns(t, sum);
    for (int n = 0; n < 2; ++n)
      for (int p = 0; p < 2; ++p)
        EXPECT_EQ(sum[n].v[p], 8 * sm80::strip_column(t.lane(), sm80::summed_block(16, t.lane(), n), p) + 1000 * 28);
  });
}

TEST(Exponential, PolynomialOnFloats) {
  double worst = 0;
  for (const double number : random_numbers(200000, 61)) {
    const auto x = static_cast<float>(number * 126);
    const double exact = std::exp2(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(sm80::exp2_polynomial<CudaThread>(x)) - exact) / exact);
  }
  EXPECT_LT(worst, 0x1p-22);  // what error() states for an exponential
  for (int n = -126; n < 128; ++n) ASSERT_EQ(sm80::exp2_polynomial<CudaThread>(n), std::ldexp(1.0F, n));
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float x : {-127.0F, -1e30F, -infinity}) EXPECT_EQ(sm80::exp2_polynomial<CudaThread>(x), 0);
  for (const float x : {-126.01F, -126.6F})
    EXPECT_LT(std::abs(sm80::exp2_polynomial<CudaThread>(x)), std::numeric_limits<float>::min());
  for (const float x : {128.0F, 1e30F, infinity}) EXPECT_EQ(sm80::exp2_polynomial<CudaThread>(x), infinity);
  for (int share = 0; share <= 16; ++share) {
    int count = 0;
    for (int n = 0; n < 64; ++n) count += sm80::takes_polynomial(n, share) ? 1 : 0;
    EXPECT_EQ(count, 4 * share);
  }
}

TEST(Exponential, TwoNumbersInPieces) {
  for (const double number : random_numbers(2000, 62)) {
    const auto x = static_cast<float>(number * std::exp2(40 * number));
    std::uint32_t packed[3];
    sm80::split_two<3, CudaThread>(x, -x, packed);
    float low = 0;
    float high = 0;
    for (const std::uint32_t p : packed) {
      low += sm80::bf16_value(static_cast<std::uint16_t>(p));
      high += sm80::bf16_value(static_cast<std::uint16_t>(p >> 16));
    }
    ASSERT_EQ(low, x);
    ASSERT_EQ(high, -x);
  }
}

}  // namespace
}  // namespace flashring::test
