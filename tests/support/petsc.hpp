// PETSc and SLEPc in tests: started once, ended once, options set for one scope.
#pragma once

#include <slepceps.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace flashring::test {

/// Starts SLEPc before the first test of a program and ends it after the last; errors come back as codes. Put one
/// `const bool started = start_petsc();` at namespace scope of the test file.
bool start_petsc();

/// Sets PETSc options and takes them back.
class ScopedOptions {
 public:
  ScopedOptions(std::initializer_list<std::pair<const char *, const char *>> options);
  ScopedOptions(const ScopedOptions &) = delete;
  ScopedOptions &operator=(const ScopedOptions &) = delete;
  ~ScopedOptions();

 private:
  std::vector<std::string> names_;
};

}  // namespace flashring::test
