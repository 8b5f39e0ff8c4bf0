#include "support/world.hpp"

#include <unistd.h>

#include <filesystem>
#include <span>
#include <stdexcept>
#include <vector>

namespace flashring::test {
namespace {

const Communicator *current = nullptr;
std::vector<std::string> folders;  // made by this process

std::string make_folder(const std::string &name) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("flashring-" + name + "-" + std::to_string(::getpid()) + "-" + std::to_string(folders.size()));
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  folders.push_back(path.string());
  return path.string();
}

}  // namespace

const Communicator &world() {
  if (current == nullptr) throw std::logic_error("world() is used outside main");
  return *current;
}

std::string scratch_folder(const std::string &name) {
  // Only rank 0 has a text to give; gather() is how the others get it and wait until the folder stands.
  const std::string mine = world().rank() == 0 ? make_folder(name) : std::string();
  return world().gather(mine).front();
}

void set_world(const Communicator *communicator) { current = communicator; }

void remove_scratch_folders() {
  std::error_code ignored;
  for (const std::string &folder : folders) std::filesystem::remove_all(folder, ignored);
  folders.clear();
}

}  // namespace flashring::test
