// Folders that runs write into: made and checked before the computation, and files that are whole or not there.
#pragma once

#include <filesystem>
#include <string>

#include "flashring/communicator.hpp"
#include "flashring/run_folder.hpp"

namespace flashring {

/// Makes the folder where it is missing, takes it for this run, and sees that files can be written there. Collective.
/// Throws Error as RunFolder does.
void open_folder(const Communicator &communicator, const std::string &path, bool overwrite, FolderLock &lock);

/// Throws Error where the folder holds a run or a sweep.
void check_no_run(const std::filesystem::path &path);

/// Throws Error where the folder's results.h5 is the file `model`, which a run there would replace.
void check_model_stays(const std::string &path, const std::string &model);

/// Where a file is written until it is complete.
std::string unfinished_name(const std::filesystem::path &path, const std::string &name);

void write_text(const std::filesystem::path &file, const std::string &text);

/// Takes the place of what was there, on the disk too.
void move_into_place(const std::filesystem::path &from, const std::filesystem::path &to);

}  // namespace flashring
