// flashring-diffmap as a user meets it: runs the program by mpirun and reads what it says and writes.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace flashring::test {

namespace fs = std::filesystem;

struct Outcome {
  int code = -1;
  double seconds = 0;
  std::string output;  // standard output and error together
};

class Diffmap : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "flashring-diffmap-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string &name) const { return (folder_ / name).string(); }

  /// `before`: shell commands before mpirun, such as "ulimit -v 1000000;".
  static Outcome run(int ranks, const std::string &arguments, const std::string &before = "") {
    const std::string command = before + " " + FLASHRING_MPIEXEC + " -n " + std::to_string(ranks) + " " +
                                FLASHRING_DIFFMAP + " " + arguments + " 2>&1";
    const auto begin = std::chrono::steady_clock::now();
    Outcome result;
    FILE *pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer{};
    while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) result.output += buffer.data();
    const int status = pclose(pipe);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
  }

  /// The run must fail within seconds on every rank and say all the words.
  static void expect_error(int ranks, const std::string &arguments, std::initializer_list<const char *> words,
                           const std::string &before = "") {
    const Outcome result = run(ranks, arguments, before);
    EXPECT_EQ(result.code, 2) << arguments << "\n" << result.output;
    EXPECT_LT(result.seconds, 20) << arguments;
    for (const char *word : words)
      EXPECT_NE(result.output.find(word), std::string::npos) << arguments << "\nlacks: " << word << "\n"
                                                             << result.output;
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
