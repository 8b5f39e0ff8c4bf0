// Which rank takes which GPU, what ranks must have in common, and why no GPU can be used: with GPUs that are none.
#include "flashring/devices.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "flashring/check.hpp"
#include "support/error_of.hpp"
#include "support/world.hpp"
#include "tile/cuda_answer.hpp"

namespace flashring::test {
namespace {

/// GPUs as a process is shown them, from `first` on.
std::vector<DeviceInfo> shown(int first, int count) {
  std::vector<DeviceInfo> devices;
  for (int n = 0; n < count; ++n) devices.push_back({10 + n, "some GPU", "uuid" + std::to_string(first + n), 80});
  return devices;
}

/// The words of an error that every rank has.
std::string common_error_of(const std::function<void()> &work) {
  std::string words;
  try {
    work();
  } catch (const Error &error) {
    words = error.what();
    EXPECT_TRUE(error.common()) << words;
  }
  for (const std::string &other : world().gather(words)) EXPECT_EQ(other, words);
  return words;
}

void expect_words(const std::string &text, const std::vector<std::string> &words) {
  for (const std::string &word : words) EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
}

TEST(Devices, RanksTakeTheGpusOfTheirMachineInTurn) {
  const int size = world().size();
  const int rank = world().rank();
  EXPECT_EQ(device_of_rank(world(), "cuda", false, shown(0, size + 1)), 10 + rank);
  EXPECT_EQ(device_of_rank(world(), "cuda", true, shown(0, 2)), 10 + rank % 2);
  // A launcher that shows each rank a GPU of its own.
  EXPECT_EQ(device_of_rank(world(), "cuda", false, shown(rank, 1)), 10);
}

TEST(Devices, MoreRanksThanGpusAreAnError) {
  if (world().size() == 1) GTEST_SKIP() << "needs two ranks";
  const int few = world().size() - 1;
  expect_words(common_error_of([&] { device_of_rank(world(), "cuda", false, shown(0, few)); }),
               {"rank 0: " + std::to_string(world().size()) + " ranks on machine ",
                "which has " + std::to_string(few) + " GPUs", "-share_devices true", "-backend simd"});
}

TEST(Devices, ARankWithoutAGpuIsAnErrorOfAll) {
  const int last = world().size() - 1;
  expect_words(common_error_of([&] {
                 device_of_rank(world(), "sm80", false, shown(0, world().rank() == last ? 0 : world().size()));
               }),
               {"rank " + std::to_string(last) + ": -backend sm80: no GPU can be used", "-backend simd runs"});
}

/// Who this rank's device is.
std::string identity;
Device named_device() {
  Device device{};
  device.identity = [] { return identity.c_str(); };
  return device;
}

TEST(Devices, TwoRanksOnOneGpuAreNamed) {
  const Device device = named_device();
  identity = "GPU " + std::to_string(world().rank());
  EXPECT_NO_THROW(check_devices(world(), device));
  if (world().size() == 1) return;
  const std::string last = std::to_string(world().size() - 1);
  if (std::to_string(world().rank()) == last) identity = "GPU 0";
  expect_words(common_error_of([&] { check_devices(world(), device); }),
               {"ranks 0 and " + last + " use one GPU (GPU 0)", "CUDA_VISIBLE_DEVICES", "-share_devices true"});
}

/// Backends that differ: `auto` on machines of two kinds, here by two names.
TEST(Devices, ABackendIsCommonToAllRanks) {
  EXPECT_STREQ(common_backend(world(), "ref").name, "ref");
  const std::vector<std::string> here = backend_names();
  if (world().size() == 1 || std::find(here.begin(), here.end(), "simd") == here.end()) return;
  const int last = world().size() - 1;
  expect_words(common_error_of([&] { common_backend(world(), world().rank() == last ? "simd" : "ref"); }),
               {"ref on rank 0 and simd on rank " + std::to_string(last), "machines differ"});
}

/// What is built in, and what this machine has.
TEST(Devices, AnUnknownBackendIsToldWhatThereIs) {
  for (const char *name : {"sm70", "sim", "cuda:nothing"}) {
    const std::string words = error_of([&] { find_backend(name); });
    expect_words(words, {"'" + std::string(name) + "' is unknown", "built in are ref", "known here are auto, ref",
                         device_text()});
    for (const std::string &built : device_backend_names()) expect_words(words, {", " + built});
  }
}

TEST(Devices, ReasonsWhyNoGpuCanBeUsed) {
  using Kind = CudaAnswer::Kind;
  EXPECT_EQ(why_no_device(CudaAnswer{Kind::told, "", 13000, 13000, 2, 1}), "");
  expect_words(why_no_device(CudaAnswer{Kind::told, "", 13000, 13000, 1, 0}), {"older than compute capability 8.0"});
  expect_words(why_no_device(CudaAnswer{Kind::old_driver, "", 12040, 13010, 0, 0}),
               {"the GPU driver knows CUDA 12.4, this build needs 13.1", "newer driver"});
  expect_words(why_no_device(CudaAnswer{Kind::old_driver, "", 0, 13000, 0, 0}), {"no GPU driver is installed"});
  for (const Kind kind : {Kind::no_device, Kind::told})  // of an empty CUDA_VISIBLE_DEVICES
    expect_words(why_no_device(CudaAnswer{kind, "", 13000, 13000, 0, 0}), {"shows no GPU", "CUDA_VISIBLE_DEVICES"});
  expect_words(why_no_device(CudaAnswer{Kind::other_error, "it burns", 13000, 13000, 1, 0}), {"says: it burns"});
}

}  // namespace
}  // namespace flashring::test
