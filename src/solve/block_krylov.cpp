// Block Krylov-Schur: block Lanczos or block Arnoldi with full orthogonalisation and thick restart.
//
//   A V = V H + X C          V: basis of m columns, X: next block of width columns, H: (m, m), C: (width, m)
//
// Step: X joins the basis, W = A X (one pass). V^T W are new columns of H, W - V V^T W = X' R gives the next block, and
// C becomes R in the columns of X and 0 in those before, which are multiplied exactly now. A Ritz vector V y with H y =
// y theta has the residual |C y|. When the basis is full, the better half of the Schur vectors Q of H stays: V Q, Q^T H
// Q, C Q, and pairs that have converged are locked: their columns of C are taken for zero. Random columns take the
// place of those that have no direction of their own: the relation holds for any X' that contains the residuals.
// Symmetric matrices have diagonal Q^T H Q, and H is kept symmetric.
//
// Products may be in a lower precision than the working one where that does not reach the result (precision_ramp.hpp):
// every column of the basis carries the size of the error of its product, and a Ritz pair counts what it feels of them
// as part of its residual. Columns of H that an earlier, better product has given stay.
//
// Cost of a step: one product with p columns, about 12 n_local m p flops, an eigenproblem of order m.
//
// Reference: Stewart, SIAM J. Matrix Anal. Appl. 23 (2001) 601; Zhou, Saad, Numer. Algorithms 47 (2008) 341.
#include <slepc/private/epsimpl.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "flashring/check.hpp"
#include "flashring/petsc_mat.hpp"
#include "solve/basis_columns.hpp"
#include "solve/block_basis.hpp"
#include "solve/block_checkpoint.hpp"
#include "solve/block_krylov_schur.hpp"
#include "solve/owned.hpp"
#include "solve/precision_ramp.hpp"
#include "solve/product_errors.hpp"
#include "solve/projected_array.hpp"
#include "solve/ritz_pairs.hpp"

namespace flashring {
namespace {

class BlockKrylov {
 public:
  BlockKrylov(EPS eps, BlockKrylovSchur &solver)
      : eps_(eps),
        solver_(solver),
        symmetric_(eps->ishermitian == PETSC_TRUE),
        p_(solver.choice.size),
        widest_(p_),
        limit_(std::min(eps->ncv, eps->n)),
        operator_(eps->st),
        test_(eps),
        ramp_(ramped(eps, solver) ? solver.choice.op : nullptr, static_cast<int>(p_)),
        checkpoint_(eps, solver) {
    now_.projected = SmallMatrix(limit_, limit_);
    now_.random.seed = solver.seed;
    if (ramp_.active()) widest_ = std::max(p_, std::min(wanted(), most_block_size));
    BV X = nullptr;
    check_petsc(BVDuplicateResize(eps->V, widest_, &X), "BVDuplicateResize");
    X_.reset(X);
  }

  void solve() {
    if (solver_.checkpoint.reader != nullptr)
      resume();
    else
      start();
    while (eps_->reason == EPS_CONVERGED_ITERATING) {
      leave_where_asked();
      if (checkpoint_.due()) save();
      expand();
      solve_projected(eps_, now_);
      judge();
      if (overrun()) {
        ramp_.choose(0, 1);
        take_product(now_.newest);
        solve_projected(eps_, now_);
        judge();
      }
      const PetscInt found = now_.m;
      if (eps_->reason != EPS_CONVERGED_ITERATING)
        keep(whole_pairs(std::min(now_.m, std::max(eps_->nconv, eps_->nev))));
      else if (at_floor())
        refresh();
      else if (now_.m + now_.width > room())
        restart();
      check_petsc(EPSMonitor(eps_, eps_->its, eps_->nconv, eps_->eigr, eps_->eigi, eps_->errest, found), "EPSMonitor");
    }
    check_petsc(DSTruncate(eps_->ds, eps_->nconv, PETSC_TRUE), "DSTruncate");
    solver_.ramp = ramp_.text();
    solver_.checkpoint.reader.reset();
    solver_.checkpoint.restart.clear();
  }

 private:
  /// Errors of products are known for the matrix itself, and for what a shift makes of it.
  static bool ramped(EPS eps, const BlockKrylovSchur &solver) {
    PetscBool shift = PETSC_FALSE;
    check_petsc(PetscObjectTypeCompare((PetscObject)eps->st, STSHIFT, &shift), "PetscObjectTypeCompare");
    return shift == PETSC_TRUE && eps->isgeneralized == PETSC_FALSE && solver.choice.op != nullptr;
  }

  /// Throws Interrupted where the matrix would in the next product, with the pairs that have converged in the basis.
  void leave_where_asked() {
    if (solver_.choice.op == nullptr || !solver_.choice.op->stop_requested()) return;
    save();
    if (!rotated_ && eps_->nconv > now_.locked) keep(eps_->nconv);
    throw Interrupted("interrupted by the user");
  }

  void save() {
    now_.steps = eps_->its;
    now_.noise = errors_.noise();
    now_.errors.assign(eps_->errest, eps_->errest + now_.locked);
    checkpoint_.write(now_, eps_->V, X_.get());
  }

  /// As save left it.
  void resume() {
    now_ = load_block_state(solver_.checkpoint.reader->state(), limit_);
    FLASHRING_CHECK(now_.width <= widest_, "-restart: a block of ", now_.width, " columns does not fit ", widest_,
                    " of this solver; give -ramp and -eps_nev as they were");
    if (now_.m > 0) read_columns(eps_, solver_, "basis", eps_->V);
    if (solver_.choice.op == nullptr) check_matrix();
    read_columns(eps_, solver_, "block", X_.get());
    errors_.restore(now_.noise);
    eps_->its = now_.steps;
    eps_->nconv = now_.locked;
    std::copy(now_.errors.begin(), now_.errors.end(), eps_->errest);
    for (PetscInt j = 0; j < now_.locked; ++j) eps_->eigr[j] = now_.projected(j, j);
  }

  /// A product with the first vector is what it was: another matrix may have as many rows.
  void check_matrix() {
    if (now_.m == 0) return;
    multiply(0, 1);
    const SmallMatrix products = inner_products(eps_->V, now_.m, X_.get(), 1);
    PetscReal off = 0;
    for (PetscInt i = 0; i < now_.m; ++i) off = std::max(off, std::abs(products(i, 0) - now_.projected(i, 0)));
    constexpr PetscReal rounding = 1e-6;  // locked vectors have converged to a tolerance only
    FLASHRING_CHECK(off <= std::max(rounding, eps_->tol) * now_.scale,
                    "-restart: the matrix is another one than that of the checkpoint");
  }

  /// Columns that the basis may have at this moment: all, or as many beside the locked ones as may be projected.
  PetscInt room() const { return std::min(limit_, now_.locked + std::max(eps_->mpd, 2 * std::max(p_, now_.width))); }

  /// The start block: the initial space, which EPSSetUp has put into the basis, and random columns. Vectors beyond a
  /// block are added to its columns in turn: the next products tell apart what belongs to different eigenvalues.
  void start() {
    const PetscInt all = std::min(eps_->nini, limit_);
    const PetscInt given = std::min(all, p_);
    copy_columns(eps_->V, 0, X_.get(), 0, given);
    if (all > p_) {
      SmallMatrix beyond(all, p_);
      for (PetscInt j = p_; j < all; ++j) beyond(j, j % p_) = -1;
      subtract_product(X_.get(), p_, eps_->V, all, beyond);
    }
    for (PetscInt j = given; j < p_; ++j) set_random_column(X_.get(), j, now_.random);
    // What EPSSetUp has made orthonormal keeps its order: vectors near eigenvectors stay so.
    now_.width = all == p_ ? p_ : orthonormalize(eps_->V, 0, X_.get(), p_, 0, now_.random).rows;
    now_.coupling = SmallMatrix(now_.width, 0);
    now_.scouting = eps_->nev <= p_ && ramp_.scouts();
    if (ramp_.active() && all >= p_) measure_start(std::min(all, most_block_size));
  }

  void measure_start(PetscInt count) {
    const BasisColumns columns(eps_->V);
    const PetscScalar *array = nullptr;
    check_petsc(BVGetArrayRead(eps_->V, &array), "BVGetArrayRead");
    ramp_.measure_start(array + columns.first, columns.stride, static_cast<int>(count));
    check_petsc(BVRestoreArrayRead(eps_->V, &array), "BVRestoreArrayRead");
  }

  /// X = A V(:, begin : begin + count): a step.
  void multiply(PetscInt begin, PetscInt count) {
    check_petsc(BVSetActiveColumns(eps_->V, begin, begin + count), "BVSetActiveColumns");
    check_petsc(BVSetActiveColumns(X_.get(), 0, count), "BVSetActiveColumns");
    check_petsc(BVMatMult(eps_->V, operator_.get(), X_.get()), "BVMatMult");
    ++eps_->its;
  }

  void add_columns(const SmallMatrix &columns, PetscInt begin) {
    for (PetscInt j = 0; j < columns.columns; ++j)
      for (PetscInt i = 0; i < columns.rows; ++i) {
        const bool known = symmetric_ && i < begin;
        if (!known) now_.projected(i, begin + j) = columns(i, j);
        if (symmetric_) now_.projected(begin + j, i) = now_.projected(i, begin + j);
      }
  }

  /// The block joins the basis, and is multiplied in the precision that its part of the result needs.
  void expand() {
    copy_columns(X_.get(), 0, eps_->V, now_.m, now_.width);
    const PetscInt begin = now_.m;
    for (PetscInt j = 0; j < begin; ++j)
      for (PetscInt i = 0; i < now_.width; ++i) {
        now_.projected(begin + i, j) = now_.coupling(i, j);
        if (symmetric_) now_.projected(j, begin + i) = now_.coupling(i, j);
      }
    std::vector<PetscReal> start;
    if (now_.scouting)
      ramp_.choose_lowest();
    else if (eps_->its == 0 && eps_->nini == p_)
      start = choose_for_start();
    else
      ramp_.choose(errors_.allowed(eps_->nconv, wanted()), smallest_product_ / norm_of_matrix());
    now_.m += now_.width;
    rotated_ = false;
    take_product(begin);
    if (!start.empty()) errors_.set(begin, start);
  }

  /// The precision of the first product, where its errors are known before. Returns them.
  std::vector<PetscReal> choose_for_start() {
    if (!ramp_.active()) return {};
    std::vector<PetscReal> limits = ramp_.start_products();
    for (std::size_t c = 0; c < limits.size(); ++c) {
      const PetscReal value = limits[c];
      const PetscReal limit = test_.limit(value, test_.error(value, 0, value));
      limits[c] = static_cast<PetscInt>(c) < wanted() ? ProductErrors::of_one_product(limit) : HUGE_VAL;
    }
    return ramp_.choose_for_start(limits);
  }

  /// What the product with the columns of the basis from `begin` on gives: H there, the next block, C.
  void take_product(PetscInt begin) {
    const PetscInt count = now_.m - begin;
    multiply(begin, count);
    const SmallMatrix products = inner_products(eps_->V, now_.m, X_.get(), count);
    add_columns(products, begin);
    std::vector<PetscReal> squares = squared_columns(products);
    for (const PetscReal square : squares) {
      FLASHRING_CHECK(std::isfinite(square), "product ", eps_->its,
                      " of the matrix gives numbers that are not finite; look at its entries");
      now_.scale = std::max(now_.scale, std::sqrt(square));
    }
    if (symmetric_) check_symmetric(now_, products, begin, ramp_.active() ? ramp_.lowest_noise() : 0);
    subtract_product(X_.get(), count, eps_->V, now_.m, products);
    const SmallMatrix R = orthonormalize(eps_->V, now_.m, X_.get(), count, now_.scale, now_.random);
    record_noise(begin, R, std::move(squares));
    now_.coupling = SmallMatrix(R.rows, now_.m);
    now_.newest = begin;
    for (PetscInt j = 0; j < R.columns; ++j)
      for (PetscInt i = 0; i < R.rows; ++i) now_.coupling(i, begin + j) = R(i, j);
    now_.width = R.rows;
  }

  /// Noise of the products from `begin` on by their size; squares: of their parts in the basis, the others are R.
  void record_noise(PetscInt begin, const SmallMatrix &R, std::vector<PetscReal> squares) {
    for (PetscInt j = 0; j < R.columns; ++j)
      for (PetscInt i = 0; i < R.rows; ++i) squares[static_cast<std::size_t>(j)] += R(i, j) * R(i, j);
    const auto [least, most] = std::minmax_element(squares.begin(), squares.end());
    smallest_product_ = std::sqrt(*least);
    errors_.set(begin, now_.m, ramp_.noise(std::sqrt(*most) / norm_of_matrix()));
  }

  bool begins_pair(PetscInt j) const { return j + 1 < now_.m && eps_->eigi[j] > 0; }

  /// `count`, or one less where it would cut through two conjugate values.
  PetscInt whole_pairs(PetscInt count) const { return count > 0 && begins_pair(count - 1) ? count - 1 : count; }

  PetscInt wanted() const { return std::min(eps_->nev, eps_->n); }
  PetscReal norm_of_matrix() const { return std::max(now_.scale, now_.m > 0 ? std::abs(eps_->eigr[0]) : 0); }

  /// Error estimates, the number of leading pairs that have converged, and whether that is enough.
  void judge() {
    if (!symmetric_) check_petsc(DSVectors(eps_->ds, DS_MAT_X, nullptr, nullptr), "DSVectors");
    std::vector<ProductErrors::Pair> pairs(static_cast<std::size_t>(now_.locked));
    {
      ProjectedArray Y(eps_->ds, symmetric_ ? DS_MAT_Q : DS_MAT_X);
      eps_->nconv = now_.locked;
      for (PetscInt j = now_.locked; j < now_.m;) {
        const PetscInt width = begins_pair(j) ? 2 : 1;
        pairs.insert(pairs.end(), static_cast<std::size_t>(width),
                     judge_value(j, width, measure_pair(now_, Y, j, width), errors_.felt(Y, j, width)));
        if (eps_->nconv == j && eps_->errest[j] < eps_->tol) eps_->nconv += width;
        j += width;
      }
    }
    errors_.record(std::move(pairs), norm_of_matrix());
    check_petsc(
        (*eps_->stopping)(eps_, eps_->its, eps_->max_it, eps_->nconv, eps_->nev, &eps_->reason, eps_->stoppingctx),
        "stopping test");
    if (now_.width == 0 && eps_->reason == EPS_CONVERGED_ITERATING)  // the basis is the whole space
      eps_->reason = EPS_CONVERGED_TOL;
  }

  /// Returns the pair with the limit of its errors, which convergence tests grow in proportion to.
  ProductErrors::Pair judge_value(PetscInt j, PetscInt width, ProductErrors::Pair pair, PetscReal noise) {
    pair.noise = noise * norm_of_matrix();
    const PetscReal norm = std::hypot(pair.residual, pair.noise);
    for (PetscInt k = j; k < j + width; ++k) {
      eps_->errest[k] = test_.error(eps_->eigr[k], eps_->eigi[k], norm);
      // No better than that can it get, and a relative test would never take a value of zero.
      if (norm <= PETSC_MACHINE_EPSILON * now_.scale) eps_->errest[k] = 0;
    }
    pair.limit = test_.limit(norm, eps_->errest[j]);
    return pair;
  }

  /// The first columns of the basis become Schur vectors.
  void keep(PetscInt count) {
    Mat Q = nullptr;
    check_petsc(DSGetMat(eps_->ds, DS_MAT_Q, &Q), "DSGetMat");
    check_petsc(BVSetActiveColumns(eps_->V, 0, now_.m), "BVSetActiveColumns");
    const PetscErrorCode code = BVMultInPlace(eps_->V, Q, now_.locked, count);
    check_petsc(DSRestoreMat(eps_->ds, DS_MAT_Q, &Q), "DSRestoreMat");
    check_petsc(code, "BVMultInPlace");
  }

  /// H and C of the first columns of the Schur vectors, C without those that are locked from here on.
  void transform(PetscInt locked, PetscInt count) {
    now_.projected = SmallMatrix(limit_, limit_);
    SmallMatrix C(now_.width, count);
    {
      ProjectedArray Q(eps_->ds, DS_MAT_Q);
      for (PetscInt j = locked; j < count; ++j)
        for (PetscInt k = now_.newest; k < now_.m; ++k)
          for (PetscInt i = 0; i < now_.width; ++i) C(i, j) += now_.coupling(i, k) * Q(k, j);
      errors_.transform(Q, locked, count, now_.m);
    }
    ProjectedArray S(eps_->ds, DS_MAT_A);
    for (PetscInt j = 0; j < count; ++j)
      for (PetscInt i = 0; i < count; ++i) now_.projected(i, j) = !symmetric_ ? S(i, j) : i == j ? eps_->eigr[j] : 0;
    now_.coupling = std::move(C);
  }

  /// Half of what is not locked stays, all wanted pairs and a block if there is room; a block joins it in any case.
  void restart() {
    const PetscInt locked = whole_pairs(std::min(eps_->nconv, limit_ - now_.width));
    const PetscInt half = locked + (now_.m - locked) / 2;
    const PetscInt most = std::max(locked, std::min(now_.m, room() - now_.width));
    const PetscInt count = whole_pairs(std::min(most, std::max(half, eps_->nev + p_)));
    keep(count);
    transform(locked, count);
    now_.locked = locked;
    now_.m = count;
    now_.newest = 0;
    rotated_ = true;
  }

  /// More products add nothing to this space that their errors do not hide, or one that was found in the lowest
  /// precision is good enough to start from.
  bool at_floor() const {
    if (!ramp_.active()) return false;
    if (now_.scouting) return errors_.good_start(eps_->nconv, wanted(), ramp_.lowest_noise());
    return errors_.at_floor(eps_->nconv, wanted());
  }

  /// The newest product had more noise than some pair can bear.
  bool overrun() const {
    return eps_->reason == EPS_CONVERGED_ITERATING && !now_.scouting &&
           errors_.overrun(eps_->nconv, wanted(), now_.newest);
  }

  /// A new space from the wanted vectors of this one, a block at least; its first product is in the working precision.
  void refresh() {
    const PetscInt locked = std::max(now_.locked, whole_pairs(std::min(eps_->nconv, limit_ - 3 * p_)));
    const PetscInt width = std::clamp(wanted() - locked, p_, std::max(p_, std::min(widest_, (limit_ - locked) / 3)));
    const PetscInt count = whole_pairs(std::min(now_.m, locked + width)) - locked;
    keep(locked + count);
    transform(locked, locked);
    copy_columns(eps_->V, locked, X_.get(), 0, count);
    now_.locked = now_.m = now_.newest = locked;
    now_.width = count;
    now_.coupling = SmallMatrix(now_.width, now_.m);
    errors_.forget();
    rotated_ = true;
    now_.scouting = false;
  }

  EPS eps_;
  BlockKrylovSchur &solver_;
  bool symmetric_;
  PetscInt p_;
  PetscInt widest_;  // block
  PetscInt limit_;   // columns of the basis, at most
  StOperator operator_;
  OwnedBv X_;  // (n, widest) the next block
  BlockState now_;
  bool rotated_ = false;  // the leading columns of the basis are Schur vectors already
  ConvergenceTest test_;
  PetscReal smallest_product_ = HUGE_VAL;  // norm, of the latest block: the next one's are not much larger
  PrecisionRamp ramp_;
  ProductErrors errors_;
  BlockCheckpoint checkpoint_;
};

}  // namespace

void solve_block_krylov(EPS eps, BlockKrylovSchur &solver) { BlockKrylov(eps, solver).solve(); }

}  // namespace flashring
