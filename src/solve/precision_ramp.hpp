// PrecisionRamp: which precision each product of a Krylov space is made in.
//
//   A_j v = A v + e,  |e| <= noise(precision) |A| |v|
//
// The noise is measured (KernelOperator::noise). That of vectors with small products is less, often much, so it is
// measured for start vectors near eigenvectors, too, and taken in between for sizes |A v| in between (a power law).
//
// A Ritz vector y of the space feels the error of the product with basis block j in proportion to its entries there,
// and these fall with the residual: |y_j| <= c residual_(j-1) / |A|. So the first products need the working precision
// and later ones less and less, while the number of products stays what it is (Simoncini, Szyld, SIAM J. Sci. Comput.
// 25 (2003) 454; Bouras, Frayse, SIAM J. Matrix Anal. Appl. 26 (2005) 660). Where the lowest precision costs next to
// nothing, a first space is made in it alone, up to its noise, and its best vectors start the real one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "flashring/kernel_operator.hpp"

namespace flashring {

/// Seconds of a product, the mean over a solution whose products begin in the first of these precisions and end in the
/// last; those that save too little are left out. `seconds`: of a product in one of them.
double mixed_seconds(const std::vector<Precision> &precisions, const std::function<double(Precision)> &seconds);

/// The precisions of an operator that are worth a change, the working one first, each next one cheaper; none without an
/// operator. The operator has its working precision again when the object goes.
class PrecisionRamp {
 public:
  /// Measures the noise of the largest product, and the cost of those with `block` columns where that pays.
  /// Collective.
  PrecisionRamp(std::shared_ptr<KernelOperator> op, int block);
  ~PrecisionRamp();
  PrecisionRamp(const PrecisionRamp &) = delete;
  PrecisionRamp &operator=(const PrecisionRamp &) = delete;

  bool active() const { return levels_.size() > 1; }
  /// Whether a first space is made in the lowest precision: as asked, or where that is expected to save seconds.
  bool scouts() const;
  /// Measures the noise of products with unit vectors, (local_rows, columns), of which those that are near eigenvectors
  /// count for what follows. Collective.
  void measure_start(const double *x, std::int64_t ldx, int columns);
  /// The next products are in the cheapest precision that makes errors in those with the start vectors of at most
  /// `limits`, absolute. Returns these errors, relative to |A|; empty where nothing is known of them.
  std::vector<double> choose_for_start(const std::vector<double> &limits);
  /// |A v| of the start vectors as measured; empty where they were not.
  std::vector<double> start_products() const;

  /// The next products are in the cheapest precision with at most that noise, both relative to |A|, for vectors whose
  /// products have norms of about `size` |A|.
  void choose(double allowed, double size);
  void choose_lowest() { use(levels_.back()); }
  /// Noise, relative to |A|, of the precision in use, of products of norm `size` |A|.
  double noise(double size) const { return active() ? levels_[used_].noise_at(size) : 0; }
  double lowest_noise() const { return levels_.back().noise; }
  /// Passes and noise of every precision, in words; empty where there is one.
  std::string text() const;

 private:
  struct Level {
    Precision precision;
    double noise, cost;  // noise of the largest product, relative to it
    std::int64_t passes_before;
    std::vector<ProductNoise> start = {};    // of the start vectors
    double least_size = 1, least_noise = 0;  // of those with the smallest products, relative to |A|
    double noise_at(double size) const;
  };
  void add(Precision precision, double cost);
  void use(const Level &level);

  std::shared_ptr<KernelOperator> op_;
  std::vector<Level> levels_;
  std::size_t used_ = 0;
};

}  // namespace flashring
