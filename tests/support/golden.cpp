#include "support/golden.hpp"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace flashring::test {
namespace {

/// The numbers of "(120, 10)" in the header's 'shape' entry.
std::vector<std::size_t> read_shape(const std::string &header) {
  const std::size_t open = header.find('(');
  const std::size_t close = header.find(')');
  std::vector<std::size_t> shape;
  std::size_t at = open + 1;
  while (at < close) {
    std::size_t used = 0;
    shape.push_back(std::stoul(header.substr(at, close - at), &used));
    at = header.find_first_of("0123456789)", at + used);
  }
  return shape;
}

}  // namespace

GoldenArray golden(const std::string &name) {
  return read_array(std::string(FLASHRING_GOLDEN_FOLDER) + "/" + name + ".npy");
}

GoldenArray read_array(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (bytes.size() < 10 || bytes.compare(1, 5, "NUMPY") != 0)
    throw std::runtime_error(path + " is missing or no NPY file");
  const std::size_t length = static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
  const std::string header = bytes.substr(10, length);
  const bool is_double = header.find("'<f8'") != std::string::npos;
  const bool is_byte = header.find("'|u1'") != std::string::npos;
  if (!(is_double || is_byte) || header.find("'fortran_order': False") == std::string::npos)
    throw std::runtime_error(path + " is not a float64 or byte array in C order");
  GoldenArray array{read_shape(header), {}};
  std::size_t count = 1;
  for (const std::size_t n : array.shape) count *= n;
  if (bytes.size() != 10 + length + (is_double ? 8 : 1) * count) throw std::runtime_error(path + " is cut off");
  array.values.resize(count);
  const char *data = bytes.data() + 10 + length;
  if (is_double) std::memcpy(array.values.data(), data, 8 * count);
  for (std::size_t i = 0; is_byte && i < count; ++i) array.values[i] = static_cast<unsigned char>(data[i]);
  return array;
}

std::vector<double> golden_column(const GoldenArray &array, std::size_t c) {
  const std::size_t columns = array.shape.at(1);
  std::vector<double> column;
  for (std::size_t i = 0; i < array.shape.at(0); ++i) column.push_back(array.values[i * columns + c]);
  return column;
}

}  // namespace flashring::test
