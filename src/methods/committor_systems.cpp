// The systems of committor.cpp by conjugate gradients.
//
//   1. Right sides: one fp64 pass.
//   2. Conjugate gradients on both columns, D = 1 - M_ii as preconditioner. After some steps the Lanczos matrix of each
//      column tells how many its condition number allows. Where these are many, the leading eigenvectors of 1_I M 1_I
//      and 1_J M 1_J are approximated from landmarks (nystrom.cpp), one pass multiplies both sets, and they become
//      coarse spaces.
//   3. Residuals by an fp64 pass. Where steps in lower precision leave them too large, the next cycle solves for them.
//
// Reference: Saad, Iterative Methods for Sparse Linear Systems, SIAM, 2003, 6.7.3 (the Lanczos matrix of its steps).
#include "methods/committor_systems.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "flashring/check.hpp"
#include "methods/coarse_space.hpp"
#include "methods/symmetric_eigen.hpp"

namespace flashring {
namespace {

using Vectors = std::vector<double>;  // (local_rows, columns)

/// Steps after which the steps left are predicted, and so many left that a coarse space pays: it takes a pass of up to
/// 64 columns, which may cost what some of one column do.
constexpr int trial_steps = 5;
constexpr double many_steps = 12;

/// What a cycle can take off residuals by products in that precision.
double reach(Precision precision) {
  return precision == Precision::fp64 ? 0 : precision == Precision::fp32 ? 1e-4 : 1e-2;
}

/// Of products, relative to the vector: below it nothing tells a slow mode from one that never ends.
double rounding(Precision precision) {
  return precision == Precision::fp64 ? 4e-15 : precision == Precision::fp32 ? 1e-6 : 1e-3;
}

/// Steps that a column will still take at most, by the extreme eigenvalues of its Lanczos matrix.
double steps_left(const std::vector<double> &lengths, const std::vector<double> &ratios, double reduction) {
  const std::size_t m = lengths.size();
  if (m == 0 || reduction <= 1) return 0;
  std::vector<double> lanczos(m * m, 0.0);
  for (std::size_t j = 0; j < m; ++j) {
    lanczos[j * m + j] = 1 / lengths[j] + (j > 0 ? ratios[j - 1] / lengths[j - 1] : 0);
    if (j + 1 < m) lanczos[j * m + j + 1] = lanczos[(j + 1) * m + j] = std::sqrt(ratios[j]) / lengths[j];
  }
  const SymmetricEigen eigen = symmetric_eigen(lanczos, m);
  const double condition = eigen.values.front() / std::max(eigen.values.back(), 1e-300);
  return 0.5 * std::sqrt(condition) * std::log(2 * reduction);
}

}  // namespace

CommittorSystems::CommittorSystems(KernelOperator &op, const CommittorRequest &request)
    : op_(op),
      request_(request),
      n_(static_cast<std::size_t>(op.local_rows())),
      columns_(request.times ? 2 : 1),
      precision_(op.precision()),
      singular_(columns_, 0),
      root_law_(op.root_law()) {
  inside_.resize(n_ * columns_);
  for (std::size_t i = 0; i < n_; ++i) {
    inside_[i] = request.a[i] == 0 && request.b[i] == 0 ? 1 : 0;
    if (columns_ > 1) inside_[n_ + i] = request.b[i] == 0 ? 1 : 0;
  }
  prepare();
}

/// Right sides, operator and diagonal.
void CommittorSystems::prepare() {
  Vectors start(n_);
  for (std::size_t i = 0; i < n_; ++i) start[i] = request_.b[i] != 0 ? root_law_[i] : 0;
  right_sides_.resize(n_ * columns_);
  const auto ld = static_cast<std::int64_t>(n_);
  op_.apply_fp64(start.data(), ld, right_sides_.data(), ld, 1);
  if (columns_ > 1) std::copy(root_law_.begin(), root_law_.end(), right_sides_.begin() + ld);
  systems_.rows = n_;
  std::vector<double> diagonal(n_);
  op_.diagonal(diagonal);
  for (std::size_t at = 0; at < inside_.size(); ++at) {
    right_sides_[at] *= inside_[at];
    // A point that sees itself alone leaves rounding of 1 - M_ii.
    const double least = std::numeric_limits<double>::epsilon();
    systems_.inverse_diagonal.push_back(inside_[at] != 0 ? 1 / std::max(1 - diagonal[at % n_], least) : 1);
  }
  systems_.product = [this](std::span<const int> list, const double *x, double *y) {
    multiply(list, x, y, precision_);
  };
  y_.assign(n_ * columns_, 0.0);
  scale_ = norms(right_sides_);
  residuals_.assign(columns_, 1.0);
}

/// y_c = (1 - 1_c M 1_c) x_c of columns that are 0 outside their points.
void CommittorSystems::multiply(std::span<const int> list, const double *x, double *y, Precision precision) {
  const auto ld = static_cast<std::int64_t>(n_);
  if (precision == Precision::fp64)
    op_.apply_fp64(x, ld, y, ld, static_cast<int>(list.size()));
  else
    op_.apply(x, ld, y, ld, static_cast<int>(list.size()));
  for (std::size_t at = 0; at < n_ * list.size(); ++at) {
    const auto column = static_cast<std::size_t>(list[at / n_]);
    y[at] = inside_[column * n_ + at % n_] != 0 ? x[at] - y[at] : 0;
  }
}

std::vector<double> CommittorSystems::norms(const Vectors &columns) const {
  std::vector<double> squares(columns.size() / std::max<std::size_t>(1, n_), 0.0);
  squares.resize(columns_, 0.0);
  for (std::size_t at = 0; at < columns.size(); ++at) squares[at / n_] += columns[at] * columns[at];
  op_.communicator().sum(std::span<double>(squares));
  for (double &square : squares) square = std::sqrt(square);
  return squares;
}

/// b - A y in fp64, whatever comes: what there is is measured and written.
Vectors CommittorSystems::residual_of_y() {
  const std::function<bool()> stop = op_.stop();
  op_.set_stop({});
  Vectors product(y_.size());
  std::vector<int> list(columns_);
  std::iota(list.begin(), list.end(), 0);
  multiply(list, y_.data(), product.data(), Precision::fp64);
  op_.set_stop(stop);
  for (std::size_t at = 0; at < product.size(); ++at) product[at] = right_sides_[at] - product[at];
  return product;
}

void CommittorSystems::solve() {
  Vectors residual = right_sides_;
  double before = HUGE_VAL;
  while (!interrupted_ && iterations_ < request_.most_iterations) {
    const Vectors y = y_;
    const std::vector<double> residuals = residuals_;
    cycle(residual);
    Vectors next = residual_of_y();
    residuals_ = norms(next);
    for (std::size_t c = 0; c < columns_; ++c) residuals_[c] = scale_[c] > 0 ? residuals_[c] / scale_[c] : 0;
    const bool stuck = singular() || largest_residual() > 0.5 * before;
    if (complete() || interrupted_ || (stuck && precision_ == Precision::fp64)) break;
    if (stuck) {
      y_ = y;
      residuals_ = residuals;
      precision_ = Precision::fp64;
      findings_.emplace_back("precision: steps in lower precision missed the tolerance, so the rest were made in fp64");
      continue;
    }
    before = largest_residual();
    residual = std::move(next);
  }
  for (std::size_t c = 0; c < columns_; ++c)
    if (singular_[c] != 0)
      findings_.push_back(detail::concatenate(c == 0 ? "committor" : "first-passage times",
                                              ": to rounding a part of the points sees neither the others nor a set; "
                                              "lower beta (or raise the length scale), or remove it"));
}

/// One solution for a residual, added to y.
void CommittorSystems::cycle(const Vectors &residual) {
  std::vector<double> targets;
  const std::vector<double> size = norms(residual);
  for (std::size_t c = 0; c < columns_; ++c)
    // Half of it, since the residual of the recursion and the true one part by rounding.
    targets.push_back(std::max(0.5 * request_.tolerance * scale_[c], reach(precision_) * size[c]));
  systems_.rounding = rounding(precision_);
  ColumnCg cg(op_.communicator(), systems_, residual, targets);
  try {
    run(cg);
  } catch (const Interrupted &) {
    interrupted_ = true;
    op_.kill_outside(std::vector<char>(n_, 1));  // where it came while a coarse space was made
  }
  for (std::size_t at = 0; at < y_.size(); ++at) y_[at] += cg.x()[at];
  iterations_ += cg.steps();
  for (std::size_t c = 0; c < columns_; ++c) singular_[c] = cg.singular(static_cast<int>(c)) ? 1 : 0;
}

void CommittorSystems::run(ColumnCg &cg) {
  const auto coarse = [&] {
    std::vector<const CoarseSpace *> spaces;
    for (const CoarseSpace &space : spaces_) spaces.push_back(space.size > 0 ? &space : nullptr);
    if (!spaces.empty()) cg.set_coarse(spaces);
  };
  if (!chosen_) choose(cg);
  coarse();
  while (!cg.converged() && iterations_ + cg.steps() < request_.most_iterations) {
    cg.run(1);
    double largest = 0;
    for (std::size_t c = 0; c < columns_; ++c)
      if (scale_[c] > 0) largest = std::max(largest, cg.residual_norms()[c] / scale_[c]);
    if (request_.progress) request_.progress(iterations_ + cg.steps(), largest);
  }
}

/// The preconditioner: as asked, or by what the first steps predict.
void CommittorSystems::choose(ColumnCg &cg) {
  chosen_ = true;
  double left = 0;
  std::string predicted;
  if (request_.preconditioner == "auto") {
    cg.run(std::min(trial_steps, request_.most_iterations));
    const std::vector<double> found = from_first_rank(op_.communicator(), [&] {
      double most = 0;
      for (std::size_t c = 0; c < columns_; ++c) {
        const double target = 0.5 * request_.tolerance * scale_[c];
        if (cg.residual_norms()[c] > target)
          most = std::max(most, steps_left(cg.lengths(static_cast<int>(c)), cg.ratios(static_cast<int>(c)),
                                           cg.residual_norms()[c] / target));
      }
      return std::vector<double>{most};
    });
    left = found.front();
    predicted = detail::concatenate("preconditioner: the condition number that ", cg.steps(),
                                    " steps with the diagonal show allows ", std::llround(left), " more");
  }
  if (request_.preconditioner == "nystrom" || left > many_steps) make_coarse();
  if (!predicted.empty())
    findings_.push_back(predicted + (has_coarse() ? "; a coarse space of landmarks was added" : "; it was kept"));
}

/// A coarse space for each column, both multiplied in one pass.
void CommittorSystems::make_coarse() {
  Vectors basis;
  std::vector<std::size_t> counts;
  for (std::size_t c = 0; c < columns_; ++c) {
    const auto begin = inside_.begin() + static_cast<std::ptrdiff_t>(c * n_);
    op_.kill_outside(std::vector<char>(begin, begin + static_cast<std::ptrdiff_t>(n_)));
    const Vectors found = nystrom_start(op_, request_.nystrom, coarse_columns / static_cast<int>(columns_));
    const std::size_t count = n_ > 0 ? found.size() / n_ : 0;  // others know it where there are no rows
    counts.push_back(static_cast<std::size_t>(op_.communicator().max(static_cast<double>(count))));
    basis.insert(basis.end(), found.begin(), found.end());
  }
  op_.kill_outside(std::vector<char>(n_, 1));
  if (std::accumulate(counts.begin(), counts.end(), std::size_t{0}) == 0) return;
  const auto exact = [this](std::span<const int> list, const double *x, double *y) {
    multiply(list, x, y, Precision::fp64);
  };
  spaces_ = coarse_spaces(op_.communicator(), exact, n_, basis, counts);
}

}  // namespace flashring
