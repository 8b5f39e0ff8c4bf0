// Programs as a user meets them: runs a command line and reads what it says.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <initializer_list>
#include <string>

namespace flashring::test {

struct Outcome {
  int code = -1;
  double seconds = 0;
  std::string output;  // what the command writes to standard output
};

/// Runs a line of the shell.
inline Outcome run_command(const std::string &command) {
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

/// The line that runs a program on so many ranks: one by itself, since mpirun takes seconds to end a program that
/// fails.
inline std::string on_ranks(int ranks, const std::string &program) {
  return ranks == 1 ? program : std::string(FLASHRING_MPIEXEC) + " -n " + std::to_string(ranks) + " " + program;
}

/// The run of `arguments` must have failed within seconds on every rank and said all the words.
inline void expect_refused(const Outcome &result, const std::string &arguments,
                           std::initializer_list<const char *> words) {
  EXPECT_EQ(result.code, 2) << arguments << "\n" << result.output;
  EXPECT_LT(result.seconds, 20) << arguments;
  for (const char *word : words)
    EXPECT_NE(result.output.find(word), std::string::npos) << arguments << "\nlacks: " << word << "\n" << result.output;
}

}  // namespace flashring::test
