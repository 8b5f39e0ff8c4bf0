// Block Krylov-Schur for symmetric matrices: block Lanczos with full orthogonalisation and thick restart.
//
//   A V_m = V_m T + X R E^T          V_m: basis of m columns, X: next block, E: the last p unit vectors
//
// Step: W = A X joins the basis with X (one pass); H = V^T W are new columns of T; W - V H = X' R gives the next block
// and the residuals |R y_last| of Ritz vectors y at no cost. When the basis is full, the better half of the Ritz
// vectors stays (T becomes their values), pairs that have converged are locked. Random columns take the place of those
// that have no direction of their own: the relation above holds for any X' that contains the residuals. Cost of a step:
// one product with p columns, about 12 n_local m p flops, an eigenproblem of order m. Reference: Zhou, Saad, Numer.
// Algorithms 47 (2008) 341; Stewart, SIAM J. Matrix Anal. Appl. 23 (2001) 601.
#include <slepc/private/epsimpl.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "flashring/check.hpp"
#include "flashring/petsc_mat.hpp"
#include "solve/block_basis.hpp"
#include "solve/block_krylov_schur.hpp"

namespace flashring {
namespace {

/// STGetOperator for as long as this lives.
class Operator {
 public:
  explicit Operator(ST st) : st_(st) { check_petsc(STGetOperator(st_, &mat_), "STGetOperator"); }
  ~Operator() { STRestoreOperator(st_, &mat_); }
  Operator(const Operator &) = delete;
  Operator &operator=(const Operator &) = delete;
  Mat get() const { return mat_; }

 private:
  ST st_;
  Mat mat_ = nullptr;
};

struct DestroyBv {
  void operator()(BV bv) const { BVDestroy(&bv); }
};
using OwnedBv = std::unique_ptr<std::remove_pointer_t<BV>, DestroyBv>;

class BlockLanczos {
 public:
  BlockLanczos(EPS eps, const BlockKrylovSchur &solver)
      : eps_(eps),
        p_(solver.block),
        limit_(std::min(eps->ncv, eps->n)),
        operator_(eps->st),
        T_(limit_, limit_),
        random_{solver.seed, 0} {
    BV X = nullptr;
    check_petsc(BVDuplicateResize(eps->V, std::max(p_, eps->nini), &X), "BVDuplicateResize");
    X_.reset(X);
  }

  void solve() {
    start();
    while (eps_->reason == EPS_CONVERGED_ITERATING) {
      expand();
      project();
      judge();
      const bool full = m_ + width_ > limit_ || m_ - locked_ + width_ > std::max(eps_->mpd, p_ + 1);
      const PetscInt found = m_;
      if (eps_->reason != EPS_CONVERGED_ITERATING)
        keep_vectors(std::min(m_, std::max(eps_->nconv, eps_->nev)));
      else if (full)
        restart();
      check_petsc(EPSMonitor(eps_, eps_->its, eps_->nconv, eps_->eigr, eps_->eigi, eps_->errest, found), "EPSMonitor");
    }
    check_petsc(DSTruncate(eps_->ds, eps_->nconv, PETSC_TRUE), "DSTruncate");
  }

 private:
  /// The start block: the initial space, which EPSSetUp has put into the basis, and random columns. A space of more
  /// vectors than a block is condensed first to its best Ritz vectors.
  void start() {
    if (eps_->nini > p_) condense();
    const PetscInt given = std::min(eps_->nini, p_);
    const PetscInt width = std::min(p_, limit_);
    copy(eps_->V, 0, X_.get(), given);
    for (PetscInt j = given; j < width; ++j) set_random_column(X_.get(), j, random_.seed, random_.used++);
    width_ = orthonormalize(eps_->V, 0, X_.get(), width, 0, random_).rows;
  }

  void condense() {
    const PetscInt all = std::min(eps_->nini, limit_);
    for (PetscInt begin = 0; begin < all; begin += p_) {
      width_ = std::min(p_, all - begin);
      multiply(begin);
      m_ = begin + width_;
      ++eps_->its;
      add_products(inner_products(eps_->V, all, X_.get(), width_), begin);
    }
    m_ = all;
    project();
    keep_vectors(p_);
    std::fill(T_.values.begin(), T_.values.end(), 0.0);
    m_ = 0;
  }

  /// X = A V(:, begin : begin + width).
  void multiply(PetscInt begin) {
    check_petsc(BVSetActiveColumns(eps_->V, begin, begin + width_), "BVSetActiveColumns");
    check_petsc(BVSetActiveColumns(X_.get(), 0, width_), "BVSetActiveColumns");
    check_petsc(BVMatMult(eps_->V, operator_.get(), X_.get()), "BVMatMult");
  }

  static void copy(BV from, PetscInt begin, BV to, PetscInt count) {
    if (count == 0) return;
    check_petsc(BVSetActiveColumns(from, begin, begin + count), "BVSetActiveColumns");
    check_petsc(BVSetActiveColumns(to, 0, count), "BVSetActiveColumns");
    check_petsc(BVCopy(from, to), "BVCopy");
  }

  void add_products(const SmallMatrix &H, PetscInt begin) {
    for (PetscInt j = 0; j < H.columns; ++j)
      for (PetscInt i = locked_; i < H.rows; ++i) T_(i, begin + j) = T_(begin + j, i) = H(i, j);
  }

  /// The block joins the basis; the next one and R come of its product.
  void expand() {
    check_petsc(BVSetActiveColumns(X_.get(), 0, width_), "BVSetActiveColumns");
    check_petsc(BVSetActiveColumns(eps_->V, m_, m_ + width_), "BVSetActiveColumns");
    check_petsc(BVCopy(X_.get(), eps_->V), "BVCopy");
    const PetscInt begin = m_;
    multiply(begin);
    m_ += width_;
    ++eps_->its;
    const SmallMatrix H = inner_products(eps_->V, m_, X_.get(), width_);
    add_products(H, begin);
    for (PetscInt j = 0; j < width_; ++j) {
      PetscReal norm = 0;
      for (PetscInt i = 0; i < m_; ++i) norm += H(i, j) * H(i, j);
      scale_ = std::max(scale_, std::sqrt(norm));
    }
    subtract_product(X_.get(), width_, eps_->V, m_, H);
    R_ = orthonormalize(eps_->V, m_, X_.get(), width_, scale_, random_);
    last_ = width_;
    width_ = R_.rows;
  }

  /// Ritz values in the order that was asked for, behind the locked ones, and vectors in the DS.
  void project() {
    DS ds = eps_->ds;
    PetscInt ld = 0;
    PetscScalar *array = nullptr;
    check_petsc(DSGetLeadingDimension(ds, &ld), "DSGetLeadingDimension");
    check_petsc(DSSetDimensions(ds, m_, locked_, 0), "DSSetDimensions");
    check_petsc(DSGetArray(ds, DS_MAT_A, &array), "DSGetArray");
    for (PetscInt j = 0; j < m_; ++j)
      for (PetscInt i = 0; i < m_; ++i) array[i + j * ld] = 0.5 * (T_(i, j) + T_(j, i));
    check_petsc(DSRestoreArray(ds, DS_MAT_A, &array), "DSRestoreArray");
    check_petsc(DSSetState(ds, DS_STATE_RAW), "DSSetState");
    check_petsc(DSSolve(ds, eps_->eigr, eps_->eigi), "DSSolve");
    check_petsc(DSSort(ds, eps_->eigr, eps_->eigi, nullptr, nullptr, nullptr), "DSSort");
    check_petsc(DSSynchronize(ds, eps_->eigr, eps_->eigi), "DSSynchronize");
  }

  /// Error estimates, the number of leading pairs that have converged, and whether that is enough.
  void judge() {
    PetscInt ld = 0;
    PetscScalar *q = nullptr;
    check_petsc(DSGetLeadingDimension(eps_->ds, &ld), "DSGetLeadingDimension");
    check_petsc(DSGetArray(eps_->ds, DS_MAT_Q, &q), "DSGetArray");
    eps_->nconv = locked_;
    for (PetscInt j = locked_; j < m_; ++j) {
      const PetscScalar *y = q + (m_ - last_) + j * ld;
      PetscReal squares = 0;
      for (PetscInt i = 0; i < R_.rows; ++i) {
        PetscScalar sum = 0;
        for (PetscInt k = 0; k < last_; ++k) sum += R_(i, k) * y[k];
        squares += sum * sum;
      }
      eps_->eigi[j] = 0;
      check_petsc((*eps_->converged)(eps_, eps_->eigr[j], 0, std::sqrt(squares), &eps_->errest[j], eps_->convergedctx),
                  "convergence test");
      // No better than that can it get, and a relative test would never take a value of zero.
      if (std::sqrt(squares) <= PETSC_MACHINE_EPSILON * scale_) eps_->errest[j] = 0;
      if (eps_->nconv == j && eps_->errest[j] < eps_->tol) ++eps_->nconv;
    }
    check_petsc(DSRestoreArray(eps_->ds, DS_MAT_Q, &q), "DSRestoreArray");
    check_petsc(
        (*eps_->stopping)(eps_, eps_->its, eps_->max_it, eps_->nconv, eps_->nev, &eps_->reason, eps_->stoppingctx),
        "stopping test");
    if (width_ == 0 && eps_->reason == EPS_CONVERGED_ITERATING)  // the basis is the whole space
      eps_->reason = EPS_CONVERGED_TOL;
  }

  /// The first columns of the basis become Ritz vectors.
  void keep_vectors(PetscInt count) {
    Mat Q = nullptr;
    check_petsc(DSGetMat(eps_->ds, DS_MAT_Q, &Q), "DSGetMat");
    check_petsc(BVSetActiveColumns(eps_->V, 0, m_), "BVSetActiveColumns");
    const PetscErrorCode code = BVMultInPlace(eps_->V, Q, locked_, count);
    check_petsc(DSRestoreMat(eps_->ds, DS_MAT_Q, &Q), "DSRestoreMat");
    check_petsc(code, "BVMultInPlace");
  }

  void restart() {
    const PetscInt most = std::min(limit_, locked_ + std::max(eps_->mpd, p_ + 1)) - width_;
    const PetscInt half = eps_->nconv + std::max(p_, (m_ - eps_->nconv) / 2);
    const PetscInt kept =
        std::clamp(std::max(half, std::min(eps_->nev + p_, m_ - p_)), eps_->nconv, std::min(most, m_));
    keep_vectors(kept);
    std::fill(T_.values.begin(), T_.values.end(), 0.0);
    for (PetscInt j = 0; j < kept; ++j) T_(j, j) = eps_->eigr[j];
    locked_ = eps_->nconv;
    m_ = kept;
  }

  EPS eps_;
  PetscInt p_;
  PetscInt limit_;  // columns of the basis, at most
  Operator operator_;
  OwnedBv X_;       // (n, p) the next block
  SmallMatrix T_;   // (m, m) of limit
  SmallMatrix R_;   // (width, last)
  PetscInt m_ = 0;  // columns of the basis
  PetscInt locked_ = 0;
  PetscInt width_ = 0;   // of the next block
  PetscInt last_ = 0;    // of the block that joined last
  PetscReal scale_ = 0;  // the matrix has a norm of at least that
  RandomSource random_;
};

}  // namespace

void solve_symmetric(EPS eps, const BlockKrylovSchur &solver) { BlockLanczos(eps, solver).solve(); }

}  // namespace flashring
