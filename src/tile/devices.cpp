#include "flashring/devices.hpp"

#include <algorithm>
#include <atomic>

#include "base/threads.hpp"
#include "flashring/check.hpp"

namespace flashring {

namespace {

bool wants_device(std::string_view backend) {
  const std::string_view name = backend.substr(0, backend.find(':'));
  if (name == "auto") return !list_devices().empty();
  const std::vector<std::string> names = device_backend_names();
  return name == "cuda" || std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::string device_text() {
  std::string reason = why_no_device();
  if (!reason.empty()) return reason;
  std::string text = "GPUs here:";
  for (const DeviceInfo &device : list_devices())
    text += detail::concatenate(" ", device.name, " of compute capability ", device.capability / 10, ".",
                                device.capability % 10);
  return text;
}

std::string missing_device_note(std::string_view backend) {
  static std::atomic<bool> said = false;
  if (backend != "auto" || device_backend_names().empty() || !list_devices().empty() || said.exchange(true)) return "";
  return "note: no GPU is used: " + why_no_device() + "\n";
}

int device_of_rank(const Communicator &communicator, std::string_view backend, bool share,
                   const std::vector<DeviceInfo> &shown) {
  std::string names;  // launchers may show each rank a GPU of its own
  for (const DeviceInfo &device : shown) names += device.uuid + " ";
  const RankOnMachine here = rank_on_machine(communicator, names);
  const auto devices = static_cast<int>(shown.size());
  communicator.agree([&] {
    FLASHRING_CHECK(devices > 0, "-backend ", backend, ": no GPU can be used: ", why_no_device(),
                    "; -backend simd runs on the processor");
    FLASHRING_CHECK(share || here.ranks <= devices, here.ranks, " ranks on machine ", here.machine, ", which has ",
                    devices,
                    " GPUs; start one rank for each GPU (mpirun -n), say -share_devices true to let ranks "
                    "share them, or -backend simd");
  });
  return shown[static_cast<std::size_t>(here.rank % devices)].number;
}

void use_device_of_rank(const Communicator &communicator, std::string_view backend, bool share) {
  if (communicator.max(wants_device(backend) ? 1.0 : 0.0) == 0) return;
  const int number = device_of_rank(communicator, backend, share, list_devices());
  communicator.agree([&] { use_device(number); });
}

const Backend &common_backend(const Communicator &communicator, std::string_view name) {
  const Backend *backend = nullptr;
  communicator.agree([&] { backend = &find_backend(name); });
  const std::vector<std::string> names = communicator.gather(std::string(backend->name));
  communicator.agree([&] {
    for (std::size_t r = 0; r < names.size(); ++r)
      FLASHRING_CHECK(names[r] == names[0], "-backend ", name, " is ", names[0], " on rank 0 and ", names[r],
                      " on rank ", r, "; machines differ, name one backend that all have");
  });
  return *backend;
}

void check_devices(const Communicator &communicator, const Device &device) {
  const std::vector<std::string> names = communicator.gather(std::string(device.identity()));
  communicator.agree([&] {
    for (std::size_t b = 0; b < names.size(); ++b)
      for (std::size_t a = 0; a < b; ++a)
        FLASHRING_CHECK(names[a] != names[b], "ranks ", a, " and ", b, " use one GPU (", names[a],
                        "); let each rank make another one current before its first matrix (CUDA_VISIBLE_DEVICES or "
                        "cudaSetDevice), say -share_devices true, or -backend simd");
  });
}

}  // namespace flashring
