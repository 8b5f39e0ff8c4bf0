#include "io/csv_line.hpp"

#include <fast_float/fast_float.h>

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"

namespace flashring {
namespace {

constexpr std::size_t most_shown = 40;  // bytes of a field in a message

bool is_blank(char c, char separator) { return c == ' ' || (c == '\t' && separator != '\t'); }

bool is_separator(char c, char separator) { return separator == ' ' ? is_blank(c, separator) : c == separator; }

std::string_view trim(std::string_view text, char separator) {
  while (!text.empty() && is_blank(text.front(), separator)) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back(), separator)) text.remove_suffix(1);
  return text;
}

/// Behind the quote that closes the one at `at`; two quotes inside stand for one. `at` itself where none closes it.
std::size_t behind_quotes(std::string_view line, std::size_t at) {
  for (std::size_t i = line.find('"', at + 1); i != std::string_view::npos; i = line.find('"', i + 2))
    if (i + 1 == line.size() || line[i + 1] != '"') return i + 1;
  return at;
}

/// End of the field whose first character that is not blank is at `at`.
std::size_t field_end(std::string_view line, std::size_t at, char separator) {
  if (at < line.size() && line[at] == '"') at = behind_quotes(line, at);
  while (at < line.size() && !is_separator(line[at], separator)) ++at;
  return at;
}

std::size_t skip_blanks(std::string_view line, std::size_t at, char separator) {
  while (at < line.size() && is_blank(line[at], separator)) ++at;
  return at;
}

/// Number at `at`; where it ends, or null. Unlike the C++ standard's function it may begin with a plus.
const char *scan_number(const char *at, const char *end, double &value) {
  if (at != end && *at == '+') {
    ++at;
    if (at != end && *at == '-') return nullptr;
  }
  const auto [stop, error] = fast_float::from_chars(at, end, value);
  // Out of range: the value is 0 or infinite then, and infinities are refused by whoever asks for finite numbers.
  return error == std::errc::invalid_argument ? nullptr : stop;
}

/// Plain numbers and separators, as nearly all lines are: one sweep without looking for quotes.
bool parse_plain(std::string_view line, char separator, std::span<double> values) {
  const char *at = line.data();
  const char *const end = at + line.size();
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (k > 0 && separator != ' ' && (at == end || *at++ != separator)) return false;
    while (at != end && is_blank(*at, separator)) ++at;
    at = scan_number(at, end, values[k]);
    if (at == nullptr || !std::isfinite(values[k])) return false;
    if (at != end && !is_separator(*at, separator) && !is_blank(*at, separator)) return false;
    while (at != end && is_blank(*at, separator)) ++at;
  }
  return at == end;
}

/// Short, on one line, and no half characters.
std::string show(std::string_view field) {
  std::size_t size = std::min(field.size(), most_shown);
  while (size > 0 && size < field.size() && (static_cast<unsigned char>(field[size]) & 0xC0U) == 0x80U) --size;
  std::string text = "'";
  for (const char c : field.substr(0, size)) text += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return text + (size < field.size() ? "...'" : "'");
}

const char *separator_name(char separator) {
  if (separator == ';') return "semicolons";
  if (separator == ',') return "commas";
  return separator == '\t' ? "tabs" : "blanks";
}

std::string explain_field(std::size_t column, std::string_view field) {
  const std::string place = detail::concatenate(", column ", column, ": ");
  if (field.empty()) return place + "the field is empty; give every point every feature";
  double value = 0;
  if (!parse_number(field, value))
    return place + show(field) + " is not a number; " +
           (field.find(',') != std::string_view::npos ? "write decimals with a point"
                                                      : "numbers are written as 1.5e-3");
  return place + show(field) + " is not finite; drop or fill such rows";
}

}  // namespace

char find_separator(std::string_view line) {
  bool seen[3] = {};
  constexpr std::string_view separators = ";,\t";
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '"') {
      const std::size_t behind = behind_quotes(line, at);
      if (behind > at) at = behind - 1;
      continue;
    }
    const std::size_t which = separators.find(line[at]);
    if (which != std::string_view::npos) seen[which] = true;
  }
  for (std::size_t which = 0; which < separators.size(); ++which)
    if (seen[which]) return separators[which];
  return ' ';
}

bool is_skipped(std::string_view line, char separator) {
  const std::size_t first = skip_blanks(line, 0, separator);
  return first == line.size() || line[first] == '#';
}

std::vector<std::string_view> split_fields(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  line = trim(line, separator);
  for (std::size_t at = 0;; ++at) {
    at = skip_blanks(line, at, separator);
    const std::size_t end = field_end(line, at, separator);
    std::string_view field = trim(line.substr(at, end - at), separator);
    if (field.size() >= 2 && field.front() == '"' && behind_quotes(field, 0) == field.size())
      field = trim(field.substr(1, field.size() - 2), separator);
    fields.push_back(field);
    if (end == line.size()) return fields;
    at = end;
  }
}

bool parse_number(std::string_view field, double &value) {
  const char *const end = field.data() + field.size();
  return scan_number(field.data(), end, value) == end;
}

bool parse_line(std::string_view line, char separator, std::span<double> values) {
  if (parse_plain(line, separator, values)) return true;
  const std::vector<std::string_view> fields = split_fields(line, separator);
  if (fields.size() != values.size()) return false;
  for (std::size_t k = 0; k < values.size(); ++k)
    if (!parse_number(fields[k], values[k]) || !std::isfinite(values[k])) return false;
  return true;
}

std::string explain_line(std::string_view line, char separator, std::size_t fields, std::int64_t first_line) {
  const std::vector<std::string_view> found = split_fields(line, separator);
  if (found.size() != fields)
    return detail::concatenate(" has ", found.size(), " fields and line ", first_line, " has ", fields,
                               " (separated by ", separator_name(separator), "); give every row as many");
  for (std::size_t k = 0; k < fields; ++k) {
    double value = 0;
    if (!parse_number(found[k], value) || !std::isfinite(value)) return explain_field(k + 1, found[k]);
  }
  return " cannot be read";
}

}  // namespace flashring
