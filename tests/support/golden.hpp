// Golden arrays: the NPY files of tests/golden (README.md there says how they were made).
#pragma once

#include <string>
#include <vector>

namespace flashring::test {

struct GoldenArray {
  std::vector<std::size_t> shape;
  std::vector<double> values;  // C order
};

/// Reads tests/golden/`name`.npy. Throws when the file is missing or is not an array in C order of one of the types.
GoldenArray golden(const std::string &name);
/// The same for a file of any folder, float64 or unsigned bytes.
GoldenArray read_array(const std::string &path);

/// Column `c` of an (N, columns) array.
std::vector<double> golden_column(const GoldenArray &array, std::size_t c);

}  // namespace flashring::test
