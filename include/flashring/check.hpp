// Errors in one place: an exception that carries a message for the user, and three price levels of checks.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace flashring {

/// What went wrong, where, with which value, and what to do about it. Libraries throw it; drivers print it and end all
/// ranks; the PETSc layer turns it into a PetscErrorCode.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string &message, bool common = false) : std::runtime_error(message), common_(common) {}
  /// Every rank of the communicator threw this very error (Communicator::agree): all may end in good order. Otherwise
  /// other ranks may be waiting, and the job must be aborted.
  bool common() const { return common_; }

 private:
  bool common_;
};

/// The user asked for the end (KernelOperator::set_stop). Every rank throws it at the same place.
class Interrupted : public Error {
 public:
  explicit Interrupted(const std::string &message) : Error(message, true) {}
};

namespace detail {

/// Numbers as short as they can be without losing a bit: 0.6, not 0.59999999999999998.
std::string shortest(double value);

template <class Part>
void append(std::ostringstream &text, const Part &part) {
  if constexpr (std::is_floating_point_v<Part>)
    text << shortest(part);
  else
    text << part;
}

template <class... Parts>
std::string concatenate(const Parts &...parts) {
  std::ostringstream text;
  (append(text, parts), ...);
  return text.str();
}

[[noreturn]] void fail_check(const char *file, int line, const char *condition, const std::string &message);

}  // namespace detail
}  // namespace flashring

/// Bad input, always checked: throws Error with the message made of the remaining arguments.
#define FLASHRING_CHECK(condition, ...)                                                        \
  do {                                                                                         \
    if (!(condition)) throw ::flashring::Error(::flashring::detail::concatenate(__VA_ARGS__)); \
  } while (false)

/// A broken promise inside the library, cheap, always checked: the message names file, line and condition.
#define FLASHRING_REQUIRE(condition, ...)                                                                             \
  do {                                                                                                                \
    if (!(condition))                                                                                                 \
      ::flashring::detail::fail_check(__FILE__, __LINE__, #condition, ::flashring::detail::concatenate(__VA_ARGS__)); \
  } while (false)

/// A broken promise, expensive to see (per element): debug builds only.
#ifdef NDEBUG
#define FLASHRING_ASSERT(condition, ...) \
  do {                                   \
  } while (false)
#else
#define FLASHRING_ASSERT(condition, ...) FLASHRING_REQUIRE(condition, __VA_ARGS__)
#endif
