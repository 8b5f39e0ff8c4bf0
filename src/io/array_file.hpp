// ArrayFile: an array of any number of axes in an NPY or HDF5 file, of which a rank reads the rows that it needs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flashring/attention.hpp"

namespace flashring {

/// Rows [begin, begin + count) along one axis, at one place of the axes before it (`entry`, counted in C order); the
/// axes after it belong to a row.
struct ArrayRows {
  std::size_t axis = 0;
  std::int64_t entry = 0, begin = 0, count = 0;
};

/// Not collective. Throws Error that names the file, the place and the remedy.
class ArrayFile {
 public:
  ArrayFile() = default;
  ArrayFile(const ArrayFile &) = delete;
  ArrayFile &operator=(const ArrayFile &) = delete;
  virtual ~ArrayFile() = default;

  std::string place;               ///< FILE, or FILE:/dataset
  std::string type;                ///< as the file spells it
  std::optional<Storage> storage;  ///< of floating-point values; none: other numbers
  std::vector<std::int64_t> axes;

  /// As stored, in this machine's byte order; there is a storage.
  virtual void read_stored(const ArrayRows &rows, std::span<std::byte> out) const = 0;
  /// Converted; not of 16-bit floating types.
  virtual void read_numbers(const ArrayRows &rows, std::span<double> out) const = 0;
};

/// By the ending of the name, as points are read. `words`: 16-bit integers are taken for bfloat16, which NumPy has not.
std::unique_ptr<ArrayFile> open_array(const std::string &name, bool words);

/// Product of the axes after `axis`.
std::int64_t row_width(std::span<const std::int64_t> axes, std::size_t axis);
/// Product of the axes before it.
std::int64_t entries_before(std::span<const std::int64_t> axes, std::size_t axis);

}  // namespace flashring
