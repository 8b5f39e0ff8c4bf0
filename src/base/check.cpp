#include "flashring/check.hpp"

#include <array>
#include <charconv>

namespace flashring::detail {

std::string shortest(double value) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

void fail_check(const char *file, int line, const char *condition, const std::string &message) {
  throw Error(concatenate("internal error at ", file, ":", line, ": ", condition, " does not hold",
                          message.empty() ? "" : ": ", message, "; please report it with the command line"));
}

}  // namespace flashring::detail
