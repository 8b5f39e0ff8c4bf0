// Whether what was measured reaches what is asked for.
#include <algorithm>
#include <functional>

#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "gpu_bench.hpp"

namespace flashring::gpu_bench {
namespace {

/// A number that rows have, and which of them do.
using Number = std::function<double(const Row &)>;
using Choice = std::function<bool(const Case &)>;

double evaluated(const Row &row) { return row.measured.evaluated / row.measured.seconds; }
double effective(const Row &row) {
  return static_cast<double>(row.one.rows) * static_cast<double>(row.one.rows) / row.measured.seconds;
}
double of_tensor_limit(const Row &row) { return row.limits.tensor > 0 ? evaluated(row) / row.limits.tensor : 0; }

bool is_sum(const Case &c, Precision precision, int features, int columns) {
  return c.row == RowKind::sum && !c.attention && !c.host_points && c.precision == precision &&
         c.features == features && c.columns == columns;
}

std::string place_of(const Row &row) {
  const Case &c = row.one;
  return detail::concatenate(row.backend, " ", to_string(c.precision), " d=", c.features, " N=", c.rows,
                             c.square ? " square" : " rectangle");
}

/// The row of the largest number, or null.
const Row *best(const std::vector<Row> &rows, const Number &number, const Choice &counts) {
  const Row *found = nullptr;
  for (const Row &row : rows) {
    if (!row.measured.not_run.empty() || !(row.measured.seconds > 0) || !counts(row.one)) continue;
    if (found == nullptr || number(row) > number(*found)) found = &row;
  }
  return found;
}

/// The least of the best numbers of several sizes; nothing where one of them was not measured.
Verdict least_of_best(std::string what, double target, const std::vector<Row> &rows, const Number &number,
                      const std::vector<Choice> &sizes) {
  Verdict verdict{std::move(what), {}, 0, target, true};
  for (const Choice &counts : sizes) {
    const Row *const row = best(rows, number, counts);
    if (row == nullptr) return {verdict.what, {}, 0, target, true};
    if (!verdict.where.empty() && number(*row) >= verdict.value) continue;
    verdict.value = number(*row);
    verdict.where = place_of(*row);
  }
  return verdict;
}

/// Seconds of 32 columns over those of one, the largest among all sizes that have both.
Verdict cost_of_columns(const std::vector<Row> &rows) {
  Verdict verdict{"32 columns, seconds over those of one", {}, 0, 1.5, false};
  const Number speed = [](const Row &row) { return 1 / row.measured.seconds; };
  for (const Row &of : rows) {
    const Case &c = of.one;
    if (!is_sum(c, c.precision, c.features, 32) || c.precision == Precision::fp64) continue;
    const auto like = [&c](int columns) {
      return [&c, columns](const Case &other) {
        return is_sum(other, c.precision, c.features, columns) && other.rows == c.rows && other.square == c.square;
      };
    };
    const Row *const many = best(rows, speed, like(32));
    const Row *const one = best(rows, speed, like(1));
    if (many == nullptr || one == nullptr) continue;
    const double ratio = many->measured.seconds / one->measured.seconds;
    if (ratio <= verdict.value) continue;
    verdict.value = ratio;
    verdict.where = place_of(*many);
  }
  return verdict;
}

}  // namespace

std::vector<Verdict> verdicts(const std::vector<Row> &rows) {
  const auto plain = [](Precision precision, int features) {
    return [=](const Case &c) { return is_sum(c, precision, features, 1); };
  };
  const std::vector<Choice> few = {plain(Precision::fp32, 3), plain(Precision::fp32, 16)};
  const std::vector<Choice> many = {plain(Precision::fp32, 64), plain(Precision::reduced, 64)};
  return {least_of_best("d <= 16 in fp32, evaluated pairs/s", 3.5e12, rows, evaluated, few),
          least_of_best("d <= 16 in fp32, effective pairs/s", 6e12, rows, effective, few),
          least_of_best("d = 64, part of the tensor limit", 0.6, rows, of_tensor_limit, many), cost_of_columns(rows)};
}

void print_verdict(const Verdict &verdict, std::FILE *json) {
  const char *const word = verdict.value > 0 ? verdict.met() ? "met" : "missed" : "not measured";
  std::printf("reach: %s: %.3g, asked for at %s %.3g: %s%s%s\n", verdict.what.c_str(), verdict.value,
              verdict.at_least ? "least" : "most", verdict.target, word, verdict.where.empty() ? "" : "; ",
              verdict.where.c_str());
  std::fflush(stdout);
  if (json == nullptr) return;
  std::fprintf(json,
               "{\"kind\":\"reach\",\"what\":\"%s\",\"where\":\"%s\",\"value\":%.6g,\"at_%s\":%.6g,"
               "\"verdict\":\"%s\"}\n",
               verdict.what.c_str(), verdict.where.c_str(), verdict.value, verdict.at_least ? "least" : "most",
               verdict.target, word);
  std::fflush(json);
}

}  // namespace flashring::gpu_bench
