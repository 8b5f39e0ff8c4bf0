// What the tests of files share: files written by rank 0, errors common to all ranks, HDF5 read back by its C
// interface.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/error_of.hpp"
#include "support/world.hpp"

namespace flashring::test {

/// The same message on every rank, holding every one of `parts`.
inline void expect_error(const std::string &message, const std::vector<std::string> &parts) {
  for (const std::string &part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
  for (const std::string &other : world().gather(message)) EXPECT_EQ(other, message);
}

/// Rank 0 writes; all ranks come back when the file is there.
inline void write_file(const std::filesystem::path &file, const std::string &bytes) {
  if (world().rank() == 0) std::ofstream(file, std::ios::binary) << bytes;
  world().sum(1.0);
}

inline std::string read_file(const std::filesystem::path &file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Names in a folder, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path &folder) {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace flashring::test
