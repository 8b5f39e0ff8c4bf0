// The row rule log-sum-exp, own side, on the accumulators of a warpgroup.
//
// Steps for a visiting tile, by each warp for its strip of 16 own and 128 visiting rows: log2 k and the giving rows'
// log weights; the row's whole-number reference is raised to the largest of them, older sums are scaled by the power of
// two between; exponentials, and their sums in fp32, then in fp64 over the sweep: of the weights themselves and of one
// column in plain arithmetic, of more columns on tensor cores (column_sums.hpp), 32 in a sweep. A quad holds a row and
// agrees on its reference. The state takes the sums at the end; its reference is written by the last sweep, so that
// each finds the old one. Cost of a pair: the formula, an exponential, 4 operations and the columns. Reference for the
// streaming sum: M. Milakov, N. Gimelshein, arXiv:1805.02867.
#pragma once

#include "sm80/logsumexp.hpp"
#include "sm90/column_sums.hpp"
#include "sm90/special_pairs.hpp"

namespace flashring::sm90 {

/// Beside the exponential: the log weight, the maximum, the difference and the sum.
constexpr int logsumexp_slots = 4;

/// Exponentials of a warp's rows and the sums of the weights themselves.
template <class Thread>
class RowExponentials {
 public:
  FLASHRING_DEVICE RowExponentials(Thread &t, const BlockMemory &memory)
      : t_(t), a_(memory.arguments->wave), same_(reinterpret_cast<unsigned char *>(memory.fold())) {}

  FLASHRING_DEVICE void begin(int own) {
    own_ = own;
    tile_ = a_.own.tiles[a_.wave.own_first + own];
    FLASHRING_UNROLL
    for (int h = 0; h < 2; ++h) {
      reference_[h] = sm80::lowest_reference<float>;
      total_[h] = 0;
    }
  }

  /// Accumulators become weights relative to their row's reference; scale: what older sums are multiplied with.
  FLASHRING_DEVICE void weigh(const std::byte *at, Strip (&strips)[1], float (&scale)[2]) {
    const Note &note = *reinterpret_cast<const Note *>(at);
    Strip &s = strips[0];
    clear_self_pairs(t_, a_, own_, tile_, note, same_, s);
    sm80::apply_formula<true, 0, Thread>(a_.kind, a_.constants, strips);
    add_log_weights(reinterpret_cast<const float *>(at + note_head), s);
    hide_pairs(t_, a_, tile_, note, -__builtin_inff(), s);
    sm80::exponentials_of_rows<sm80::polynomial_sixteenths(logsumexp_slots)>(t_, s, reference_, scale);
    float sum[2] = {};
    FLASHRING_UNROLL
    for (int n = 0; n < 4 * strip_blocks; ++n) sum[n % 4 / 2] += s.v[n / 4][n % 4];
    FLASHRING_UNROLL
    for (int h = 0; h < 2; ++h) total_[h] = total_[h] * static_cast<double>(scale[h]) + static_cast<double>(sum[h]);
  }

  FLASHRING_DEVICE double *state() const {
    return reinterpret_cast<double *>(a_.own.state) + sm80::tile_offset(a_.wave.own_first + own_, a_.words);
  }
  FLASHRING_DEVICE int rows() const { return tile_.rows; }
  /// The lane's h-th row of the own tile.
  FLASHRING_DEVICE int row(int h) const { return t_.warp() * sm80::strip_rows + sm80::strip_row(t_.lane(), 2 * h); }

  /// What the sums of the lane's h-th row and those of its state are multiplied with when they meet.
  FLASHRING_DEVICE sm80::Scales scales(int h) const {
    double reference = row(h) < rows() ? state()[row(h)] : 0;
    return sm80::raise_reference(reference, static_cast<double>(reference_[h]));
  }

  /// The last sweep's end: reference and sum of the weights. All lanes call.
  FLASHRING_DEVICE void end() {
    FLASHRING_UNROLL
    for (int h = 0; h < 2; ++h) {
      const double sum = sm80::sum_of_quad(t_, total_[h]);
      if (t_.lane() % 4 != 0 || row(h) >= rows()) continue;
      double *words = state() + row(h);
      const sm80::Scales met = sm80::raise_reference(words[0], static_cast<double>(reference_[h]));
      words[tile_rows] = words[tile_rows] * met.before + sum * met.now;
    }
  }

 private:
  /// weights: (T) of the visiting rows
  FLASHRING_DEVICE void add_log_weights(const float *weights, Strip &s) {
    FLASHRING_UNROLL
    for (int n = 0; n < strip_blocks; ++n) {
      const auto g = *reinterpret_cast<const sm80::Two *>(weights + sm80::strip_column(t_.lane(), n, 0));
      FLASHRING_UNROLL
      for (int e = 0; e < 4; ++e) s.v[n][e] = Thread::fma(g.v[e % 2], static_cast<float>(sm80::log2_of_e), s.v[n][e]);
    }
  }

  Thread &t_;
  const WaveArguments &a_;
  unsigned char *same_;  // (T)
  TileInfo tile_;        // own
  float reference_[2];   // of the lane's own rows
  double total_[2];      // the same
  int own_ = 0;          // tile, counted from the wave's first
};

/// One column at most.
template <class Thread>
class LogSumExpFold {
 public:
  static constexpr bool beside_products = false;

  FLASHRING_DEVICE LogSumExpFold(Thread &t, const BlockMemory &memory)
      : t_(t), columns_(memory.arguments->wave.columns), exponentials_(t, memory) {}

  FLASHRING_DEVICE void begin(int own, int /*first*/) {
    exponentials_.begin(own);
    total_[0] = 0;
    total_[1] = 0;
  }

  FLASHRING_DEVICE void fold(const std::byte *at, Strip (&strips)[1]) {
    float scale[2];
    exponentials_.weigh(at, strips, scale);
    if (columns_ == 0) return;
    float sum[1][2] = {};
    sm80::add_rows(t_, strips, reinterpret_cast<const float *>(at + note_head + vector_bytes), sum);
    FLASHRING_UNROLL
    for (int h = 0; h < 2; ++h) total_[h] = total_[h] * static_cast<double>(scale[h]) + static_cast<double>(sum[0][h]);
  }

  FLASHRING_DEVICE void end() {
    if (columns_ > 0) {
      FLASHRING_UNROLL
      for (int h = 0; h < 2; ++h) {
        const double sum = sm80::sum_of_quad(t_, total_[h]);
        const sm80::Scales met = exponentials_.scales(h);
        const int row = exponentials_.row(h);
        if (t_.lane() % 4 != 0 || row >= exponentials_.rows()) continue;
        double &word = exponentials_.state()[2 * tile_rows + row];
        word = word * met.before + sum * met.now;
      }
    }
    exponentials_.end();
  }

 private:
  Thread &t_;
  int columns_;
  RowExponentials<Thread> exponentials_;
  double total_[2];  // of the column, the lane's own rows
};

/// More columns.
template <class Thread, int pieces>
class LogSumExpColumnsFold {
 public:
  static constexpr bool beside_products = false;

  FLASHRING_DEVICE LogSumExpColumnsFold(Thread &t, const BlockMemory &memory)
      : t_(t),
        columns_(memory.arguments->wave.columns),
        exponentials_(t, memory),
        sums_(t, memory, memory.fold() + self_pair_bytes) {}

  FLASHRING_DEVICE void begin(int own, int first) {
    exponentials_.begin(own);
    sums_.begin(nullptr, first, columns_of_sweep(columns_, first));
    last_ = first + sm80::tensor_columns >= columns_;
  }

  FLASHRING_DEVICE void fold(const std::byte *at, Strip (&strips)[1]) {
    float scale[2];
    sums_.take_columns(true);
    exponentials_.weigh(at, strips, scale);
    t_.sync();
    sums_.template add_own<true>(strips, scale);
  }

  FLASHRING_DEVICE void end() {
    double *words = exponentials_.state() + 2 * tile_rows;  // (c, T)
    const sm80::Scales met[2] = {exponentials_.scales(0), exponentials_.scales(1)};
    sums_.finish([&](int h, int row, int column, double sum) {
      if (row >= exponentials_.rows()) return;
      double &word = words[column * tile_rows + row];
      word = word * met[h].before + sum * met[h].now;
    });
    t_.sync_warp();  // a quad has read the reference that its first lane replaces
    if (last_) exponentials_.end();
  }

 private:
  Thread &t_;
  int columns_;
  bool last_ = true;
  RowExponentials<Thread> exponentials_;
  ColumnSums<Thread, pieces> sums_;
};

}  // namespace flashring::sm90
