#include "support/petsc.hpp"

#include <gtest/gtest.h>

#include "flashring/petsc_mat.hpp"

namespace flashring::test {
namespace {

class PetscEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    ASSERT_EQ(SlepcInitializeNoArguments(), PETSC_SUCCESS);
    PetscPushErrorHandler(PetscReturnErrorHandler, nullptr);
    ASSERT_EQ(FlashringRegisterAll(), PETSC_SUCCESS);
  }
  void TearDown() override {
    PetscPopErrorHandler();
    EXPECT_EQ(SlepcFinalize(), PETSC_SUCCESS);
  }
};

}  // namespace

bool start_petsc() {
  ::testing::AddGlobalTestEnvironment(new PetscEnvironment);
  return true;
}

ScopedOptions::ScopedOptions(std::initializer_list<std::pair<const char *, const char *>> options) {
  for (const auto &[name, value] : options) {
    PetscOptionsSetValue(nullptr, name, value);
    names_.emplace_back(name);
  }
}

ScopedOptions::~ScopedOptions() {
  for (const std::string &name : names_) PetscOptionsClearValue(nullptr, name.c_str());
}

}  // namespace flashring::test
