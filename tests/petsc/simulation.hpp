// A program that holds its points: what the tests of the C interface drive.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flashring/flashring.h"
#include "flashring/petsc_mat.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {

inline constexpr int rows = 90;

/// This rank's rows of a point set, as a simulation holds them; rank 1 holds none where there are three ranks or more.
inline std::vector<double> my_rows(std::uint64_t seed, PetscInt *local) {
  const PointSet points = random_points(rows, 2, seed);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world().size()), 0);
  for (int i = 0; i < rows; ++i) {
    const int rank = i % world().size();
    ++counts[static_cast<std::size_t>(rank == 1 && world().size() > 2 ? 0 : rank)];
  }
  const PointBlock block = local_block(points, RowPartition::from_counts(counts), world().rank());
  *local = static_cast<PetscInt>(block.local_rows());
  return {block.rows().begin(), block.rows().end()};
}

struct Simulation {
  explicit Simulation(std::uint64_t seed) {
    coordinates = my_rows(seed, &local);
    check_petsc(MatCreateFlashring(PETSC_COMM_WORLD, local, 2, coordinates.data(), &A), "MatCreateFlashring");
    set("pair", "gaussian:beta=1.5");
    set("form", "symmetric");
    set("threads", "1");
    check_petsc(FlashringMapCreate(A, &map), "FlashringMapCreate");
    check_petsc(FlashringMapSetPairs(map, 4), "FlashringMapSetPairs");
  }
  Simulation(const Simulation &) = delete;
  Simulation &operator=(const Simulation &) = delete;
  ~Simulation() {
    FlashringMapDestroy(&map);
    MatDestroy(&A);
  }
  void set(const char *name, const char *value) const {
    check_petsc(MatFlashringSetOption(A, name, value), "MatFlashringSetOption");
  }
  void move(std::uint64_t seed) {
    coordinates = my_rows(seed, &local);
    check_petsc(MatFlashringSetPoints(A, 2, coordinates.data()), "MatFlashringSetPoints");
  }
  /// Values, then right vectors.
  std::vector<double> solve() const {
    check_petsc(FlashringMapSolve(map), "FlashringMapSolve");
    PetscInt pairs = 0;
    const char *status = nullptr;
    check_petsc(FlashringMapGetConverged(map, &pairs, &status), "FlashringMapGetConverged");
    EXPECT_EQ(pairs, 4);
    EXPECT_STREQ(status, "converged");
    std::vector<double> all;
    std::vector<double> column(static_cast<std::size_t>(local));
    for (PetscInt k = 0; k < pairs; ++k) {
      double value = 0;
      double residual = 0;
      check_petsc(FlashringMapGetEigenvalue(map, k, &value, &residual), "FlashringMapGetEigenvalue");
      EXPECT_LT(residual, 1e-7);
      check_petsc(FlashringMapGetRight(map, k, column.data()), "FlashringMapGetRight");
      all.push_back(value);
      all.insert(all.end(), column.begin(), column.end());
    }
    return all;
  }

  PetscInt local = 0;
  std::vector<double> coordinates;
  Mat A = nullptr;
  FlashringMap map = nullptr;
};

/// The call fails on every rank and its message holds the word.
inline void expect_failure(PetscErrorCode code, const char *word) {
  EXPECT_NE(code, PETSC_SUCCESS) << word;
  try {
    check_petsc(code, "call");
  } catch (const std::exception &error) {
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

}  // namespace flashring::test
