// Which flashring this is, and what it was built with.
#pragma once

#include <string>

namespace flashring {

/// Version of this library and the git commit it was built from ("unknown" outside a checkout).
const char *version();
const char *git_commit();

/// One line "flashring VERSION (COMMIT)".
std::string version_line();

}  // namespace flashring
