// CommittorSystems: the linear systems of a committor and of mean first-passage times, and their solution.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "flashring/committor.hpp"
#include "solve/column_cg.hpp"

namespace flashring {

/// Columns q and, where asked, t of committor.cpp; every call is collective.
class CommittorSystems {
 public:
  CommittorSystems(KernelOperator &op, const CommittorRequest &request);

  /// y of both columns, as good as it becomes.
  void solve();
  const std::vector<double> &y() const { return y_; }
  const std::vector<double> &residuals() const { return residuals_; }  // (columns), relative
  const std::vector<double> &root_law() const { return root_law_; }
  int iterations() const { return iterations_; }
  bool interrupted() const { return interrupted_; }
  bool complete() const { return largest_residual() <= request_.tolerance; }
  const std::vector<std::string> &findings() const { return findings_; }
  bool has_coarse() const { return !spaces_.empty(); }

 private:
  void prepare();
  void multiply(std::span<const int> list, const double *x, double *y, Precision precision);
  void cycle(const std::vector<double> &residual);
  void run(ColumnCg &cg);
  void choose(ColumnCg &cg);
  void make_coarse();
  std::vector<double> residual_of_y();
  std::vector<double> norms(const std::vector<double> &columns) const;
  bool singular() const { return std::find(singular_.begin(), singular_.end(), 1) != singular_.end(); }
  double largest_residual() const { return *std::max_element(residuals_.begin(), residuals_.end()); }

  KernelOperator &op_;
  const CommittorRequest &request_;
  std::size_t n_, columns_;
  Precision precision_;           // of steps
  std::vector<char> singular_;    // (columns)
  std::vector<double> root_law_;  // (local_rows)
  std::vector<char> inside_;      // (local_rows, columns)
  ColumnSystems systems_;
  std::vector<double> right_sides_, y_;
  std::vector<double> scale_, residuals_;  // (columns): norms of right sides; relative
  std::vector<CoarseSpace> spaces_;        // (columns), or none
  bool chosen_ = false, interrupted_ = false;
  int iterations_ = 0;
  std::vector<std::string> findings_;
};

}  // namespace flashring
