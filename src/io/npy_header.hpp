// NpyHeader: what the first bytes of an NPY file say about the array behind them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flashring {

class FileHandle;

/// Type letter and size of one value, as in NumPy's descr '<f8'.
struct NpyType {
  char kind = 'f';    ///< f floating, i signed, u unsigned, b bool, V the two bytes of a bfloat16 (ml_dtypes)
  int bytes = 8;      ///< of one value
  bool swap = false;  ///< stored in the byte order that this machine does not use
  std::string text;   ///< descr as the file spells it
};

struct NpyHeader {
  NpyType type;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
  std::string shape_text;  ///< shape as the file spells it, for messages
  std::int64_t data = 0;   ///< offset of the first value, bytes
};

/// Reads formats 1.0, 2.0 and 3.0. Throws Error naming the file, the place and the remedy.
NpyHeader read_npy_header(const std::string &file, const FileHandle &handle);

/// Throws Error for 16-bit floating types, which are read as they are stored and never converted.
void check_converted(const std::string &file, const NpyType &type);

}  // namespace flashring
