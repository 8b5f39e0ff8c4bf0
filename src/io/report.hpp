// report.json: what ran, how, how fast, and what came out, for people and scripts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flashring/attention_results.hpp"
#include "flashring/committor_results.hpp"
#include "flashring/metric_results.hpp"
#include "flashring/neighbours.hpp"
#include "flashring/results.hpp"
#include "flashring/sweep_folder.hpp"

namespace flashring {

/// The text of report.json; keys as docs/files.md lists them. `findings` join the diagnoses of the results.
std::string report_json(const Results &results, const Report &report, const std::vector<std::string> &findings);

/// The text of sweep.json, as docs/files.md specifies it.
std::string sweep_json(const SweepTable &table);
/// New points: all, those that have coordinates, and those of them that are far.
struct ExtensionCounts {
  std::int64_t points = 0, extended = 0, far = 0;
};
/// The same of an extension of `map`, of which no rows are read.
std::string extension_json(const Results &map, const Report &report, const ExtensionCounts &counts,
                           const std::vector<std::string> &findings);

/// What a search for neighbours found.
struct NeighbourFacts {
  PointShape points;
  int k = 1;
  bool queries = false;
  const NeighbourSummary &summary;
};
std::string neighbours_json(const Report &report, const NeighbourFacts &facts,
                            const std::vector<std::string> &findings);
/// The same of a committor.
std::string committor_json(const CommittorResults &results, const Report &report,
                           const std::vector<std::string> &findings);
/// The same of a metric of `map`.
std::string metric_json(const Results &map, const Metric &metric, double mean_dimension, const Report &report,
                        const std::vector<std::string> &findings);

/// The same of attention.
std::string attention_json(const AttentionFacts &facts, const Report &report);
std::string rows_json(const RowsFacts &facts, const Report &report);

/// The options as the user would type them: -points 'my points.npy' -nev 10.
std::string command_line(const Report &report);

/// The value of an option; empty where it is not given.
std::string option_value(const Report &report, std::string_view name);

/// Name of the data set for titles: the file name of -points, or the text of -generate; empty where neither is given.
std::string data_set_name(const Report &report);

}  // namespace flashring
