// Summation: y = K x by some way of summing. `tiles` evaluates every pair; other ways can stand beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "flashring/points.hpp"
#include "flashring/reduction.hpp"
#include "flashring/ring.hpp"

namespace flashring {

/// y = diag(left) K diag(right) x for a block of columns. Scalings may be empty (ones).
struct SumRequest {
  const double *x = nullptr;  // (local_rows, columns), leading dimension ldx
  std::int64_t ldx = 0;
  double *y = nullptr;  // (local_rows, columns), leading dimension ldy
  std::int64_t ldy = 0;
  int columns = 1;  ///< 1 <= columns <= max_columns
  Precision precision = Precision::fp64;
  std::span<const double> left = {};   // (local_rows)
  std::span<const double> right = {};  // (local_rows)
  /// Another number whenever left or right change: a device keeps them as long as it is the same. 0: it does not.
  std::uint64_t scaling = 0;
  bool on_device = false;  ///< x and y are in the memory of the backend's device
};

/// y = diag(left) K(own rows, landmarks) diag(right) x: a few points that every rank has take the place of the columns.
class LandmarkSummation {
 public:
  virtual ~LandmarkSummation() = default;
  /// x is (landmarks, columns) and right (landmarks), the same on every rank; y and left are of the own rows.
  /// Collective.
  virtual PassReport apply(const SumRequest &request) = 0;
  /// y = diag(left) K(landmarks, all rows) diag(right) x: x and right are of the own rows; y (landmarks, columns) and
  /// left are the same on every rank. Collective.
  virtual PassReport apply_transpose(const SumRequest &request) = 0;
  /// y = diag(left) K(landmarks, landmarks) diag(right) x. Not collective.
  virtual PassReport apply_among(const SumRequest &request) = 0;
};

/// Throws Error where the backend has no sums of products of shape.columns differences (row rule difference_product).
/// Not collective.
void check_differences(const Backend &backend, const TileShape &shape);

/// How the sum over j is taken; KernelOperator and solvers do not know which it is.
class Summation {
 public:
  virtual ~Summation() = default;
  virtual const char *name() const = 0;
  virtual bool supports(const PairFunction &pair, int features) const = 0;
  virtual PassReport apply(const SumRequest &request) = 0;
  /// y_i = left_i sum_j k_ij right_j (x_kj - x_ki)(x_lj - x_li) for all k <= l: column l(l+1)/2 + k of y, which has
  /// c(c+1)/2. Throws Error, on every rank, where the backend does not sum products of so many differences. Collective.
  virtual PassReport apply_differences(const SumRequest &request) = 0;
  /// Most columns of that; 0 where the backend has no such sums. Collective.
  virtual int difference_columns() = 0;
  /// Seconds that one pass with that many columns is expected to take (measured once in milliseconds). Collective.
  virtual double cost(int columns, Precision precision) = 0;
  /// Bound on |error of y_i| / (sum_j |k_ij x_j|) beyond rounding: 0 where every pair is evaluated.
  virtual double bound() const = 0;
  /// New coordinates of the same shape, with new parameters of the pair function.
  virtual void update_points(const PairFunction &pair, PointBlock points, std::span<const double> mean) = 0;
  /// These rows of the points as TileBlock::unpack gives them, (rows.size(), point_numbers) row-major, the same on
  /// every rank, which all ask for the same rows. Collective.
  virtual std::vector<double> gather_points(std::span<const GlobalRow> rows) = 0;
  /// Products with such points, (landmarks, point_numbers); at least one. They keep a reference to this. Collective.
  virtual std::unique_ptr<LandmarkSummation> landmarks(std::span<const double> points) = 0;
  /// Log-sum-exp at points that are none of these, which are the sources; `mean` as when these were packed.
  /// request.pair is not read. Collective.
  virtual LogSumExpResult log_sum_exp(const PointBlock &queries, std::span<const double> mean,
                                      const LogSumExpRequest &request) = 0;
};

struct TilesOptions {
  std::string backend = "auto";
  std::string transport = "auto";
  RingOptions ring;
  bool share_devices = false;
  bool resident = false;  ///< keep the points of other ranks here instead of passing them on
  PointsMemory points = PointsMemory::device;
  std::chrono::seconds patience{600};  ///< see TransportOptions
};

/// Every pair by tiles round the ring. The communicator must outlive the object. Collective.
std::unique_ptr<Summation> make_tiles_summation(const Communicator &communicator, const TilesOptions &options,
                                                const PairFunction &pair, PointBlock points,
                                                std::span<const double> mean);

}  // namespace flashring
