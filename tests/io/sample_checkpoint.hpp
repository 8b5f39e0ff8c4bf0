// A checkpoint whose every number is known, to be written and read back.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "io/checkpoint_reader.hpp"
#include "io/io_support.hpp"
#include "support/world.hpp"

namespace flashring::test {

inline constexpr std::int64_t rows_of_sample = 211;
inline constexpr int basis_columns = 11;  // one strip of eight, and a part of one

/// What the basis holds at a global row and column: all different, exact in double.
inline double basis_value(std::int64_t row, int column, int version) {
  return version * 1e6 + static_cast<double>(row) + column / 1024.0;
}

inline CheckpointState sample_state(int version) {
  CheckpointState state;
  state.identity = {{"beta", "0.5"}, {"pair", "gaussian"}, {"points", "fingerprint 0123456789abcdef"}, {"text", ""}};
  state.integers = {{"passes", version},
                    {"random_index", std::numeric_limits<std::int64_t>::max()},
                    {"smallest", std::numeric_limits<std::int64_t>::min()}};
  state.reals = {{"tolerance", 1e-9}, {"negative_zero", -0.0}, {"tiny", std::numeric_limits<double>::denorm_min()}};
  state.arrays = {{"ritz_values", {1, 0.5, 1e-300, HUGE_VAL}}, {"nothing", {}}};
  return state;
}

inline std::vector<double> local_basis(const RowPartition &partition, int rank, int columns, std::int64_t ld,
                                       int version) {
  std::vector<double> values(static_cast<std::size_t>(ld * columns), -1.0);
  for (std::int64_t i = 0; i < partition.local_rows(rank); ++i)
    for (int c = 0; c < columns; ++c)
      values[static_cast<std::size_t>(c * ld + i)] =
          basis_value(partition.global_row(rank, LocalRow{i}).value, c, version);
  return values;
}

/// A basis with a leading dimension of its own, one column of zeros and NaN, and an array without columns.
inline void write_sample(const Communicator &communicator, const RowPartition &partition, const std::string &file,
                         int version) {
  const std::int64_t rows = partition.local_rows(communicator.rank());
  const std::int64_t ld = rows + 3;
  const std::vector<double> basis = local_basis(partition, communicator.rank(), basis_columns, ld, version);
  std::vector<double> odd(static_cast<std::size_t>(rows), -0.0);
  for (std::int64_t i = 0; i < rows; ++i)
    if (partition.global_row(communicator.rank(), LocalRow{i}).value % 2 == 0)
      odd[static_cast<std::size_t>(i)] = std::nan("");
  write_checkpoint(
      communicator, partition, file, sample_state(version),
      {{"basis", basis_columns, basis.data(), ld}, {"odd", 1, odd.data(), rows}, {"none", 0, nullptr, rows}});
}

inline void write_sample(const std::string &file, int version, std::int64_t rows = rows_of_sample) {
  write_sample(world(), RowPartition::contiguous(rows, world().size()), file, version);
}

inline void expect_state(const CheckpointState &state, int version) {
  const CheckpointState expected = sample_state(version);
  EXPECT_EQ(state.identity, expected.identity);
  EXPECT_EQ(state.integers, expected.integers);
  EXPECT_EQ(state.reals, expected.reals);
  EXPECT_EQ(std::signbit(state.reals.at("negative_zero")), true);
  EXPECT_EQ(state.arrays, expected.arrays);
}

inline void expect_sample(const CheckpointReader &reader, const RowPartition &partition, int rank, int version) {
  expect_state(reader.state(), version);
  EXPECT_EQ(reader.rows(), partition.rows());
  EXPECT_EQ(reader.columns("basis"), basis_columns);
  EXPECT_EQ(reader.columns("odd"), 1);
  EXPECT_EQ(reader.columns("none"), 0);
  EXPECT_EQ(reader.columns("ritz_values"), -1);
  const std::int64_t ld = partition.local_rows(rank) + 5;
  std::vector<double> basis(static_cast<std::size_t>(ld * basis_columns), -1.0);
  reader.read_array("basis", partition, basis.data(), ld);
  EXPECT_EQ(basis, local_basis(partition, rank, basis_columns, ld, version));  // what is not a row is left alone
  std::vector<double> odd(static_cast<std::size_t>(ld));
  reader.read_array("odd", partition, odd.data(), ld);
  for (std::int64_t i = 0; i < partition.local_rows(rank); ++i)
    EXPECT_TRUE(std::isnan(odd[static_cast<std::size_t>(i)]) || std::signbit(odd[static_cast<std::size_t>(i)]));
  reader.read_array("none", partition, nullptr, ld);
}

inline void expect_file(const std::string &file, int version, std::int64_t rows = rows_of_sample) {
  const CheckpointReader reader(world(), file);
  EXPECT_EQ(reader.file(), file);
  EXPECT_EQ(reader.finding(), "");
  expect_sample(reader, RowPartition::contiguous(rows, world().size()), world().rank(), version);
}

inline std::string refusal_of(const Communicator &communicator, const std::string &file) {
  return error_of([&] { CheckpointReader(communicator, file); });
}

}  // namespace flashring::test
