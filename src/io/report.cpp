#include "io/report.hpp"

#include <nlohmann/json.hpp>

namespace flashring {
namespace {

using Json = nlohmann::ordered_json;

Json seconds_of(const Report &report) {
  return {{"read", report.seconds_read},
          {"setup", report.seconds_setup},
          {"solve", report.seconds_solve},
          {"write", report.seconds_write},
          {"total", report.seconds_total}};
}

/// Whole numbers, so that no reader sees 1.2e9 bytes.
Json bytes_of(const Report &report) {
  Json bytes = Json::array();
  for (const double value : report.peak_bytes_per_rank) bytes.push_back(static_cast<std::int64_t>(value));
  return bytes;
}

bool is_plain(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter || std::string_view("_-+./:,=@%").find(c) != std::string_view::npos;
}

/// A word that a POSIX shell reads back unchanged.
std::string quote(const std::string &text) {
  bool plain = !text.empty();
  for (const char c : text) plain = plain && is_plain(c);
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string option_value(const Report &report, std::string_view name) {
  for (const auto &[key, value] : report.options)
    if (key == name) return value;
  return {};
}

}  // namespace

std::string report_json(const Results &results, const Report &report, const std::vector<std::string> &findings) {
  Json json;
  json["version"] = report.version;
  json["git"] = report.git;
  json["status"] = report.status;
  json["options"] = Json::object();
  for (const auto &[name, value] : report.options) json["options"][name] = value;
  json["ranks"] = report.ranks;
  json["threads"] = report.threads;
  json["backend"] = report.backend;
  json["target"] = report.target;
  json["precision"] = report.precision;
  json["exchange"] = report.exchange;
  json["pair"] = report.pair;
  json["N"] = results.rows;
  json["d"] = results.features;
  json["calls"] = report.calls;
  json["passes"] = report.passes;
  json["passes_in"] = Json::object();
  for (const auto &[precision, passes] : report.passes_in) json["passes_in"][precision] = passes;
  json["column_passes"] = report.column_passes;
  json["pairs_per_second"] = report.pairs_per_second;
  json["evaluated_pairs_per_second"] = report.evaluated_pairs_per_second;
  json["ring_wait_fraction"] = report.ring_wait_fraction;
  json["device_copy_bytes"] = report.device_copy_bytes;
  json["seconds"] = seconds_of(report);
  json["peak_bytes_per_rank"] = bytes_of(report);
  json["eigenvalues"] = results.eigenvalues;
  json["residuals"] = results.residuals;
  json["residual_over_gap"] = results.residual_over_gap;
  json["diagnoses"] = results.diagnoses;
  for (const std::string &finding : findings) json["diagnoses"].push_back(finding);
  // Paths may hold bytes that are not UTF-8: replaced rather than refused at the end of a long run.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string command_line(const Report &report) {
  std::string line;
  for (const auto &[name, value] : report.options) {
    if (!line.empty()) line += ' ';
    line += "-" + name;
    if (!value.empty()) line += ' ' + quote(value);
  }
  return line;
}

std::string data_set_name(const Report &report) {
  const std::string file = option_value(report, "points");
  return file.empty() ? option_value(report, "generate") : file.substr(file.rfind('/') + 1);
}

}  // namespace flashring
