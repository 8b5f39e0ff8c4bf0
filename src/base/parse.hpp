// Texts of the form name:key=value,key=value, as pair functions and generated point sets are given.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flashring {

struct NamedArguments {
  std::string name;
  std::vector<std::pair<std::string, std::string>> arguments;  // key, value in the order given
};

/// Throws Error (naming `what`) when a piece is not key=value or a key comes twice.
NamedArguments parse_named_arguments(std::string_view what, std::string_view text);

/// The numbers of a list such as 1,0.5,2. Throws Error (naming `what`) where a piece is none.
std::vector<double> parse_reals(std::string_view what, std::string_view text);

/// "a, b, c"
template <class Names>
std::string join(const Names &names) {
  std::string text;
  for (const auto &name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

}  // namespace flashring
