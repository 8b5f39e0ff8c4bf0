// Tests of backend amx by the name of its unit: the emulated one everywhere, that of the hardware where there is one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "flashring/tile.hpp"

namespace flashring::test {

class AmxUnits : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "amx" && !runs()) GTEST_SKIP() << "amx: not run, this machine has no AMX";
  }
  static bool runs() {
    const std::vector<std::string> names = backend_names();
    return std::find(names.begin(), names.end(), "amx") != names.end();
  }
  const std::string &name() const { return GetParam(); }
};

inline const auto amx_units = ::testing::Values("amx:emulated", "amx");

inline std::string unit_name(const ::testing::TestParamInfo<std::string> &param) {
  return param.param == "amx" ? "Hardware" : "Emulated";
}

}  // namespace flashring::test
