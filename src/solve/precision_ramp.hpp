// PrecisionRamp: which precision each product of a Krylov space is made in.
//
//   A_j v = A v + e,  |e| <= noise(precision) |A| |v|
//
// A Ritz vector y of the space feels the error of the product with basis block j in proportion to its entries there,
// and these fall with the residual: |y_j| <= c residual_(j-1) / |A|. So the first products need the working precision
// and later ones less and less, while the number of products stays what it is (Simoncini, Szyld, SIAM J. Sci. Comput.
// 25 (2003) 454; Bouras, Frayse, SIAM J. Matrix Anal. Appl. 26 (2005) 660). Where the lowest precision costs next to
// nothing, a first space is made in it alone, up to its noise, and its best vectors start the real one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flashring/kernel_operator.hpp"

namespace flashring {

/// The precisions of an operator that are worth a change, the working one first, each next one cheaper; none without an
/// operator. The operator has its working precision again when the object goes.
class PrecisionRamp {
 public:
  /// Measures the noise of products, and the cost of those with `block` columns where that pays.
  /// Collective.
  PrecisionRamp(std::shared_ptr<KernelOperator> op, int block);
  ~PrecisionRamp();
  PrecisionRamp(const PrecisionRamp &) = delete;
  PrecisionRamp &operator=(const PrecisionRamp &) = delete;

  bool active() const { return levels_.size() > 1; }
  /// Whether a first space is made in the lowest precision: as asked, or where that is expected to save seconds.
  bool scouts() const;
  /// The next products are in the cheapest precision with at most that noise. Returns its noise, relative to |A|.
  double choose(double allowed);
  /// The same, in the lowest precision.
  double choose_lowest();
  double lowest_noise() const { return levels_.back().noise; }
  /// Passes and noise of every precision, in words; empty where there is one.
  std::string text() const;

 private:
  struct Level {
    Precision precision;
    double noise, cost;
    std::int64_t passes_before;
  };
  void add(Precision precision, double cost);
  double use(const Level &level);

  std::shared_ptr<KernelOperator> op_;
  std::vector<Level> levels_;
};

}  // namespace flashring
