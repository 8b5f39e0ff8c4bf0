#include "flashring/sweep_folder.hpp"

#include <filesystem>
#include <system_error>

#include "io/folder.hpp"
#include "io/pictures.hpp"
#include "io/report.hpp"

namespace flashring {

namespace fs = std::filesystem;

SweepFolder::SweepFolder(const Communicator &communicator, std::string path, const std::vector<SweepPoint> &points,
                         bool overwrite)
    : communicator_(communicator), path_(std::move(path)) {
  open_folder(communicator_, path_, overwrite, lock_);
  communicator_.agree([&] {
    if (communicator_.rank() != 0 || overwrite) return;
    for (const SweepPoint &point : points) check_no_run(path_of(point));
  });
}

std::string SweepFolder::write(const SweepTable &table) {
  const auto place = [&](const char *name) { move_into_place(unfinished_name(path_, name), fs::path(path_) / name); };
  communicator_.agree([&] {
    if (communicator_.rank() != 0) return;
    write_text(unfinished_name(path_, "sweep.json"), sweep_json(table));
    place("sweep.json");
  });
  std::string finding = draw_sweep(communicator_, unfinished_name(path_, "sweep.png"), table);
  communicator_.agree([&] {
    if (communicator_.rank() != 0) return;
    std::error_code ignored;
    if (finding.empty())
      place("sweep.png");
    else
      fs::remove(fs::path(path_) / "sweep.png", ignored);  // that of an earlier sweep
  });
  return finding;
}

}  // namespace flashring
