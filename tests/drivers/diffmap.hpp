// flashring-diffmap as a user meets it: runs the program by mpirun and reads what it says and writes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
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
    return run_command(before + " " + on_ranks(ranks, FLASHRING_DIFFMAP " " + arguments) + " 2>&1");
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

  std::string bytes_of(const std::string &file) const {
    std::ifstream stream(folder_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// The solver has told of a converged pair.
  static bool has_converged_pair(const std::string &output) {
    for (std::size_t at = output.find("nconv="); at != std::string::npos; at = output.find("nconv=", at + 1))
      if (output.compare(at, 7, "nconv=0") != 0) return true;
    return false;
  }
  struct Signal {
    const char *name;
    std::string to;                ///< pattern of a command line, of whose processes the last one is meant
    std::function<bool()> moment;  ///< whether it has come
  };

  /// Runs the program with its output in the file "log" and sends the signal. `patience`: after so many seconds mpirun
  /// kills processes that it has asked to end; it waits as long even when they have ended. `seconds` count from the
  /// signal on.
  Outcome run_and_signal(int ranks, const std::string &arguments, const Signal &signal, int patience) const {
    using Clock = std::chrono::steady_clock;
    fs::remove(folder_ / "log");
    Clock::time_point sent;
    bool seen = false;
    std::thread sender([&] {
      for (int n = 0; n < 6000 && !seen; ++n) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        seen = signal.moment();
      }
      sent = Clock::now();
      std::system(("kill -" + std::string(signal.name) + " $(pgrep -f '" + signal.to + "' | tail -n 1)").c_str());
    });
    Outcome result =
        run(ranks, arguments + " >" + path("log"), "OMPI_MCA_odls_base_sigkill_timeout=" + std::to_string(patience));
    sender.join();
    result.seconds = std::chrono::duration<double>(Clock::now() - sent).count();
    EXPECT_TRUE(seen) << bytes_of("log");
    result.output += bytes_of("log");
    return result;
  }

  static void expect_no_process_of(const std::string &out) {
    EXPECT_NE(std::system(("pgrep -f '[-]output " + out + "' >/dev/null").c_str()), 0) << "a process is left";
  }

  fs::path folder_;
};

}  // namespace flashring::test
