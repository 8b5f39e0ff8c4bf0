#include "io/gnuplot.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "flashring/check.hpp"
#include "io/file_handle.hpp"

namespace flashring {
namespace {

constexpr std::size_t most_words = 300;  // of gnuplot's own message in ours

/// One word of a POSIX shell, whatever the path holds.
std::string shell_quote(const std::string &text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

/// The command's exit status; what it prints goes to `words`.
int run_command(const std::string &command, std::string &words) {
  std::FILE *pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return 127;
  char part[512];
  while (const std::size_t got = std::fread(part, 1, sizeof(part), pipe))
    if (words.size() < most_words) words.append(part, got);
  const int status = ::pclose(pipe);
  if (status == -1) return 0;  // a host that ignores SIGCHLD hides the status; the picture tells
  return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, most_words)) {
    const bool blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!blank) line += c;
    if (blank && !line.empty() && line.back() != ' ') line += ' ';
  }
  return line;
}

}  // namespace

std::string gnuplot_quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + "'";
}

std::string gnuplot_number(double value) { return std::isfinite(value) ? fmt::format("{:.8g}", value) : "NaN"; }

std::string run_gnuplot(const std::string &script, const std::string &picture) {
  // The script is a file and not a pipe: a gnuplot that ends early would otherwise raise SIGPIPE in our process.
  const std::filesystem::path script_file = std::filesystem::absolute(picture + ".gnuplot");
  std::error_code ignored;
  std::filesystem::remove(picture, ignored);
  std::string words;
  int status = 0;
  try {
    FileHandle handle(script_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    handle.write(std::as_bytes(std::span(script)), 0);
    handle.close();
    status = run_command("gnuplot --default-settings " + shell_quote(script_file) + " 2>&1 </dev/null", words);
  } catch (const Error &error) {
    words = error.what();
    status = 1;
  }
  std::filesystem::remove(script_file, ignored);
  const std::uintmax_t bytes = std::filesystem::file_size(picture, ignored);
  if (status == 0 && !ignored && bytes > 0) return {};
  std::filesystem::remove(picture, ignored);
  if (status == 127) return "gnuplot not found; install gnuplot-nox";
  return fmt::format("gnuplot failed with exit status {} ({})", status, one_line(words));
}

}  // namespace flashring
