#include "base/parse.hpp"

#include <algorithm>
#include <charconv>

#include "flashring/check.hpp"
#include "flashring/options.hpp"

namespace flashring {

NamedArguments parse_named_arguments(std::string_view what, std::string_view text) {
  NamedArguments result;
  const std::size_t colon = text.find(':');
  result.name = text.substr(0, colon);
  if (colon == std::string_view::npos) return result;
  std::string_view rest = text.substr(colon + 1);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view piece = rest.substr(0, comma);
    const std::size_t equals = piece.find('=');
    FLASHRING_CHECK(equals != std::string_view::npos && equals > 0 && equals + 1 < piece.size(), what, ": '", piece,
                    "' in '", text, "' is not key=value; write name:key=value,key=value");
    const std::string key(piece.substr(0, equals));
    for (const auto &[known, value] : result.arguments)
      FLASHRING_CHECK(known != key, what, ": '", key, "' is given twice in '", text, "'; give it once");
    result.arguments.emplace_back(key, piece.substr(equals + 1));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return result;
}

double parse_real(std::string_view what, std::string_view text, std::string_view words) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FLASHRING_CHECK(error == std::errc() && end == text.data() + text.size(), what, ": '", text,
                  "' is not a number; write for example 0.5 or 1e-3", words);
  return value;
}

std::vector<double> parse_reals(std::string_view what, std::string_view text) {
  std::vector<double> numbers;
  while (true) {
    const std::size_t comma = text.find(',');
    numbers.push_back(parse_real(what, text.substr(0, comma)));
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

std::int64_t parse_integer(std::string_view what, std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FLASHRING_CHECK(error == std::errc() && end == text.data() + text.size(), what, ": '", text,
                  "' is not a whole number of at most 64 bits");
  return value;
}

}  // namespace flashring
