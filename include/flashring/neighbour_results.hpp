// Results of a search for neighbours, and the files they become.
#pragma once

#include <string>
#include <vector>

#include "flashring/neighbours.hpp"
#include "flashring/results.hpp"
#include "flashring/run_folder.hpp"

namespace flashring {

/// What was searched.
struct NeighbourSearch {
  PointShape points;
  RowPartition rows;     ///< of the lists: queries, or the points themselves
  bool queries = false;  ///< others than the points
};

/// neighbours.h5, neighbours.png and report.json into a folder that was made before the search, as docs/files.md
/// specifies them; all take their names together. `report`: seconds_total up to here. Returns findings in words, which
/// are in the report, too. Collective; an Error is common to all ranks.
std::vector<std::string> write_neighbours(const Communicator &communicator, RunFolder &folder,
                                          const NeighbourSearch &search, const Neighbours &found,
                                          const NeighbourSummary &summary, Report report);

}  // namespace flashring
