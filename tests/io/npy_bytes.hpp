// NPY files made byte by byte, so that writer and reader share no code; and points compared bit by bit.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "flashring/points.hpp"
#include "flashring/readers.hpp"
#include "io/io_support.hpp"
#include "support/world.hpp"

namespace flashring::test {

inline std::string with_header(const std::string &dictionary, const std::string &data, int major = 1) {
  std::string file("\x93NUMPY", 6);
  file += static_cast<char>(major);
  file += '\0';
  const std::size_t length = dictionary.size() + 1;
  for (int b = 0; b < (major == 1 ? 2 : 4); ++b) file += static_cast<char>((length >> (8 * b)) & 0xFFU);
  return file + dictionary + "\n" + data;
}

inline std::string dictionary(const std::string &descr, bool fortran, const std::string &shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
}

template <class T>
std::string number_bytes(T value, bool big_endian) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  if (big_endian != (std::endian::native == std::endian::big)) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

inline std::string shape_text(std::int64_t rows, std::int64_t features) {
  return "(" + std::to_string(rows) + ", " + std::to_string(features) + ")";
}

/// What the NPY reader makes of these numbers, (rows, features) in C order. Collective.
template <class T>
PointBlock through_npy(const std::string &folder, const std::vector<T> &values, std::int64_t features) {
  const char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
  const std::string descr = (sizeof(T) == 1 ? "|" : "<") + std::string(1, kind) + std::to_string(sizeof(T));
  const auto rows = static_cast<std::int64_t>(values.size()) / features;
  std::string data;
  for (const T value : values) data += number_bytes(value, false);
  write_file(folder + "/same.npy", with_header(dictionary(descr, false, shape_text(rows, features)), data));
  return read_npy(folder + "/same.npy", world());
}

/// The same rows on every rank, every bit.
inline void expect_same(const PointBlock &points, const PointBlock &expected) {
  ASSERT_EQ(points.partition(), expected.partition());
  ASSERT_EQ(points.features(), expected.features());
  ASSERT_EQ(points.rows().size(), expected.rows().size());
  for (std::size_t i = 0; i < points.rows().size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint64_t>(points.rows()[i]), std::bit_cast<std::uint64_t>(expected.rows()[i]))
        << points.rows()[i] << " at " << i << " is not " << expected.rows()[i];
}

/// Numbers at the ends of double's range among random ones.
inline std::vector<double> difficult_numbers(std::size_t count) {
  std::vector<double> numbers = {0.0,
                                 -0.0,
                                 5e-324,
                                 -5e-324,
                                 2.2250738585072011e-308,
                                 2.2250738585072014e-308,
                                 1e308,
                                 1.7976931348623157e308,
                                 -1.7976931348623157e308,
                                 0.1,
                                 1.0 / 3,
                                 -123456789.125,
                                 9007199254740993.0,
                                 8.41e21,
                                 9.5e-5,
                                 1.0000000000000002};
  std::uint64_t bits = 0x9E3779B97F4A7C15U;
  while (numbers.size() < count) {
    bits ^= bits << 13U;
    bits ^= bits >> 7U;
    bits ^= bits << 17U;
    const auto number = std::bit_cast<double>(bits);
    if (number - number == 0) numbers.push_back(number);  // finite
  }
  numbers.resize(count);
  return numbers;
}

}  // namespace flashring::test
