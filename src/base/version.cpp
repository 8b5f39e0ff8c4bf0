#include "flashring/version.hpp"

#include <string_view>

#include "flashring/version.h"

namespace flashring {

const char *version() { return FLASHRING_VERSION; }

// Empty when the sources were not a git checkout at configure time (a release archive).
const char *git_commit() { return std::string_view(FLASHRING_GIT).empty() ? "unknown" : FLASHRING_GIT; }

std::string version_line() { return std::string("flashring ") + version() + " (" + git_commit() + ")"; }

}  // namespace flashring
