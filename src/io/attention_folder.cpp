// The folder of attention: every rank writes its rows of every head at their place.
#include <algorithm>
#include <chrono>

#include "flashring/attention_results.hpp"
#include "io/folder.hpp"
#include "io/npy_writer.hpp"
#include "io/report.hpp"

namespace flashring {
namespace {

void write_arrays(const Communicator &communicator, RunFolder &folder, const std::vector<ResultArray> &arrays,
                  Report &report) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  double bytes = 1e6;  // the report
  for (const ResultArray &array : arrays) bytes += communicator.sum(static_cast<double>(array.values.size()));
  folder.begin();
  communicator.agree([&] {
    if (communicator.rank() == 0) folder.check_space("the results need", bytes);
  });
  for (const ResultArray &array : arrays) write_npy(communicator, folder.unfinished(array.file), array);
  report.seconds_write = std::chrono::duration<double>(Clock::now() - start).count();
  report.seconds_total += report.seconds_write;
}

}  // namespace

double attention_flops(const AttentionShape &shape, bool backward) {
  const double pairs = static_cast<double>(shape.batch) * shape.heads * static_cast<double>(shape.queries) *
                       static_cast<double>(shape.keys);
  const double widths = backward ? 3.0 * shape.width + 2.0 * shape.value_width : 1.0 * shape.width + shape.value_width;
  return 2 * pairs * widths;
}

double visited_share(const AttentionReport &report) {
  const double all = report.tiles_visited + report.tiles_skipped;
  return all > 0 ? report.tiles_visited / all : 1;
}

ResultArray common_array(const Communicator &communicator, const char *file, std::span<const double> numbers) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(communicator.size()), 0);
  counts.front() = static_cast<std::int64_t>(numbers.size());
  const std::span<const double> mine = communicator.rank() == 0 ? numbers : numbers.first(0);
  return {file, {counts.front()}, 0, Storage::fp64, std::as_bytes(mine), RowPartition::from_counts(counts)};
}

void write_attention(const Communicator &communicator, RunFolder &folder, const std::vector<ResultArray> &arrays,
                     const AttentionFacts &facts, Report report) {
  write_arrays(communicator, folder, arrays, report);
  folder.complete(attention_json(facts, report));
}

void write_rows(const Communicator &communicator, RunFolder &folder, const std::vector<ResultArray> &arrays,
                const RowsFacts &facts, Report report) {
  write_arrays(communicator, folder, arrays, report);
  folder.complete(rows_json(facts, report));
}

void write_monitor(const Communicator &communicator, const std::string &file, const std::string &lines) {
  communicator.agree([&] {
    if (communicator.rank() == 0) write_text(file, lines);
  });
}

}  // namespace flashring
