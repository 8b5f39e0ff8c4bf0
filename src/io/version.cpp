#include <string_view>

#include "flashring/results.hpp"

namespace flashring {

const char *version() { return FLASHRING_VERSION; }

// Empty when the sources were not a git checkout at configure time (a release archive).
const char *git_commit() { return std::string_view(FLASHRING_GIT).empty() ? "unknown" : FLASHRING_GIT; }

}  // namespace flashring
