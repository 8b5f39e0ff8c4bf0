// flashring-diffmap as a user meets it: runs the program by mpirun and reads what it says and writes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "drivers/program.hpp"

namespace flashring::test {

namespace fs = std::filesystem;

class Diffmap : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "flashring-diffmap-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string &name) const { return (folder_ / name).string(); }

  /// Standard output and error together. `before`: shell commands before mpirun, such as "ulimit -v 1000000;".
  static Outcome run(int ranks, const std::string &arguments, const std::string &before = "") {
    return run_command(before + " " + FLASHRING_MPIEXEC + " -n " + std::to_string(ranks) + " " + FLASHRING_DIFFMAP +
                       " " + arguments + " 2>&1");
  }

  static void expect_error(int ranks, const std::string &arguments, std::initializer_list<const char *> words,
                           const std::string &before = "") {
    expect_refused(run(ranks, arguments, before), arguments, words);
  }

  nlohmann::json report(const std::string &run_folder) const {
    std::ifstream file(folder_ / run_folder / "report.json");
    return nlohmann::json::parse(file);
  }

  void write_npy(const std::string &name, const std::string &descr, const std::string &shape,
                 const std::string &data) const {
    std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
    header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 11, ' ');
    header += '\n';
    std::ofstream file(folder_ / name, std::ios::binary);
    file << "\x93NUMPY" << '\x01' << '\x00' << static_cast<char>(header.size() & 255U)
         << static_cast<char>(header.size() >> 8U) << header << data;
  }
  static std::string doubles(std::initializer_list<double> values) {
    std::string bytes(values.size() * sizeof(double), '\0');
    std::memcpy(bytes.data(), values.begin(), bytes.size());
    return bytes;
  }

  fs::path folder_;
};

}  // namespace flashring::test
