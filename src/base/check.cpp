#include "flashring/check.hpp"

namespace flashring::detail {

void fail_check(const char *file, int line, const char *condition, const std::string &message) {
  throw Error(concatenate("internal error at ", file, ":", line, ": ", condition, " does not hold",
                          message.empty() ? "" : ": ", message, "; please report it with the command line"));
}

}  // namespace flashring::detail
