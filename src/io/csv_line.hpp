// A line of text as fields and numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashring {

/// What stands between fields: ';', ',', a tab, or ' ' for runs of blanks and tabs; the first of these that the line
/// shows outside quotes. Semicolons come first, because decimal commas are told best where they separate.
char find_separator(std::string_view line);

/// Empty, or a comment.
bool is_skipped(std::string_view line, char separator);

/// The fields without blanks around them and without their quotes.
std::vector<std::string_view> split_fields(std::string_view line, char separator);

/// A whole field as a double, correctly rounded; infinities and NaN are numbers here. A number beyond the range of
/// doubles becomes an infinity.
bool parse_number(std::string_view field, double &value);

/// True when the line holds values.size() finite numbers and nothing else. values: (fields).
bool parse_line(std::string_view line, char separator, std::span<double> values);

/// What is wrong with a line that parse_line refused: the words behind "line 12". `first_line` is the number of the
/// line that told how many fields there are.
std::string explain_line(std::string_view line, char separator, std::size_t fields, std::int64_t first_line);

}  // namespace flashring
