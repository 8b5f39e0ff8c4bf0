// The folder of a search for neighbours. Rank 0 makes neighbours.h5 with room for all rows, every rank writes its rows
// at their place; picture and report follow.
#include <fmt/format.h>

#include <chrono>

#include "flashring/check.hpp"
#include "flashring/neighbour_results.hpp"
#include "io/npy_writer.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

constexpr const char *file_name = "neighbours.h5";

/// Room for both arrays, and what they are; where they begin.
std::vector<std::int64_t> make_file(const std::string &name, const NeighbourSearch &search, int k,
                                    const Report &report) {
  const std::vector<hsize_t> extents{static_cast<hsize_t>(search.rows.rows()), static_cast<hsize_t>(k)};
  Hdf5File file(name, Hdf5File::Start::make, 16 * search.rows.rows() * k);
  write_origin(file, neighbours_kind, report);
  file.set_attribute("/", "N", search.points.rows);
  file.set_attribute("/", "d", std::int64_t{search.points.features});
  file.set_attribute("/", "k", std::int64_t{k});
  if (search.queries) file.set_attribute("/", "M", search.rows.rows());
  std::vector<std::int64_t> offsets{file.reserve_integers("/indices", extents), file.reserve("/distances", extents)};
  describe(file, "/indices", "1", "rows of the points, counted from 0, nearest first; at equal distance the lower row");
  describe(file, "/distances", "as the points", "Euclidean distances to these");
  file.close();
  return offsets;
}

void write_file(const Communicator &communicator, const std::string &name, const NeighbourSearch &search,
                const Neighbours &found, const Report &report) {
  std::vector<std::int64_t> offsets(2);
  communicator.agree([&] {
    if (communicator.rank() == 0) offsets = make_file(name, search, found.k, report);
  });
  communicator.broadcast(std::as_writable_bytes(std::span(offsets)), 0);
  communicator.agree([&] {
    const std::int64_t rows = search.rows.local_rows(communicator.rank());
    const std::vector<RowPiece> pieces = row_pieces(search.rows, communicator.rank(), found.k);
    write_integers(name, offsets[0], found.rows, found.k, pieces);
    write_rows(name, offsets[1], {found.distances, rows, found.k, true, {}, {}}, pieces);
  });
}

std::vector<std::string> findings_of(const NeighbourSearch &search, const NeighbourSummary &summary) {
  std::vector<std::string> findings;
  if (summary.largest == 0 && summary.rows > 0)
    findings.emplace_back("every distance is 0: all points that were compared coincide, or have at least k duplicates");
  else if (summary.duplicates > 0)
    findings.push_back(fmt::format("duplicates: {} of {} {} at distance 0 of another point", summary.duplicates,
                                   summary.rows, search.queries ? "queries are" : "points are"));
  return findings;
}

}  // namespace

std::vector<std::string> write_neighbours(const Communicator &communicator, RunFolder &folder,
                                          const NeighbourSearch &search, const Neighbours &found,
                                          const NeighbourSummary &summary, Report report) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  folder.begin();
  communicator.agree([&] {
    if (communicator.rank() == 0)
      folder.check_space("the lists need", 16.0 * static_cast<double>(search.rows.rows()) * found.k + 4e6);
  });
  write_file(communicator, folder.unfinished(file_name), search, found, report);
  std::vector<std::string> findings = findings_of(search, summary);
  const std::string picture = draw_neighbours(communicator, folder.unfinished("neighbours.png"),
                                              {report, knn_distance(found), summary, search.points, found.k});
  if (!picture.empty()) findings.push_back("pictures: " + picture);
  report.seconds_write = std::chrono::duration<double>(Clock::now() - start).count();
  report.seconds_total += report.seconds_write;
  folder.complete(neighbours_json(report, {search.points, found.k, search.queries, summary}, findings));
  return findings;
}

}  // namespace flashring
