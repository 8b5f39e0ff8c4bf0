// The GPUs of a machine, and which one a process uses. Programs choose, before the first operator; the library takes
// the one that is current.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// A GPU as CUDA shows it to this process, after CUDA_VISIBLE_DEVICES.
struct DeviceInfo {
  int number = 0;
  std::string name;
  std::string uuid;    ///< the same for every process
  int capability = 0;  ///< compute capability, 10 major + minor
};

/// GPUs that have a backend, of compute capability 8.0 and later. Empty where there is none: why_no_device() says the
/// reason.
std::vector<DeviceInfo> list_devices();

/// Why no GPU can be used, as part of a sentence: "this build has no CUDA", "no GPU driver is installed", "the driver
/// is older than CUDA 13.0 of this build". Empty where one can.
std::string why_no_device();

/// GPU `number` becomes the current one of the calling thread. For programs, before the first operator. Throws Error.
void use_device(int number);

/// The number of one of the GPUs that this rank is `shown` for `backend`: as many come before it as ranks of this
/// machine that are shown the same. `share`: more ranks than GPUs take them in turn; otherwise they are an Error on
/// every rank, as is a rank without a GPU. Collective.
int device_of_rank(const Communicator &communicator, std::string_view backend, bool share,
                   const std::vector<DeviceInfo> &shown);

/// For programs with one rank for each GPU: where a backend of that name would run on GPUs (auto: where there are any),
/// this rank uses that one of list_devices(). Collective.
void use_device_of_rank(const Communicator &communicator, std::string_view backend, bool share);

/// What why_no_device() and list_devices() say, as part of a sentence.
std::string device_text();

/// What a program or the PETSc layer shall print on one rank: "note: no GPU is used: ...", where `backend` is auto,
/// this build has backends for GPUs and none can be used. Empty otherwise, and from then on: it is said once in a
/// process.
std::string missing_device_note(std::string_view backend);

/// The backend of that name, which must be the same on every rank: blocks travel in its layout. Throws Error on every
/// rank where ranks differ. Collective.
const Backend &common_backend(const Communicator &communicator, std::string_view name);

/// Throws Error on every rank where two ranks use one GPU. Collective.
void check_devices(const Communicator &communicator, const Device &device);

}  // namespace flashring
