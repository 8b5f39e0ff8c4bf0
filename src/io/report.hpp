// report.json: what ran, how, how fast, and what came out, for people and scripts.
#pragma once

#include <string>
#include <vector>

#include "flashring/results.hpp"

namespace flashring {

/// The text of report.json; keys as docs/files.md lists them. `findings` join the diagnoses of the results.
std::string report_json(const Results &results, const Report &report, const std::vector<std::string> &findings);

/// The options as the user would type them: -points 'my points.npy' -nev 10.
std::string command_line(const Report &report);

/// Name of the data set for titles: the file name of -points, or the text of -generate; empty where neither is given.
std::string data_set_name(const Report &report);

}  // namespace flashring
