// What a call says that must fail.
#pragma once

#include <functional>
#include <string>

#include "flashring/check.hpp"

namespace flashring::test {

inline std::string error_of(const std::function<void()> &work) {
  try {
    work();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

}  // namespace flashring::test
