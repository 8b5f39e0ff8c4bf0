#include "transport/nccl_version.hpp"

#include "flashring/check.hpp"

namespace flashring {
namespace {

/// Since 2.9: 10000 major + 100 minor + patch.
constexpr int of_major = 10000;
/// The first that has all functions the transport calls; FlashringDevice.cmake asks the same of headers.
constexpr int oldest = 21900;

}  // namespace

std::string nccl_version_text(int version) {
  return detail::concatenate(version / of_major, ".", version % of_major / 100, ".", version % 100);
}

void check_nccl_version(const Communicator &communicator, int library, int header) {
  const std::vector<std::string> versions = communicator.gather(std::to_string(library));
  communicator.agree([&] {
    FLASHRING_CHECK(library > 0, "-transport nccl: NCCL does not tell its version; look at LD_LIBRARY_PATH");
    FLASHRING_CHECK(library / of_major == header / of_major && library >= oldest,
                    "-transport nccl: the library is NCCL ", nccl_version_text(library), ", this build needs ",
                    header / of_major, ".x from ", nccl_version_text(oldest), " on (its header is ",
                    nccl_version_text(header), "); look at LD_LIBRARY_PATH");
    for (std::size_t r = 0; r < versions.size(); ++r)
      FLASHRING_CHECK(versions[r] == versions[0], "-transport nccl: NCCL is ",
                      nccl_version_text(std::stoi(versions[0])), " on rank 0 and ",
                      nccl_version_text(std::stoi(versions[r])), " on rank ", r,
                      "; give all ranks one library (LD_LIBRARY_PATH)");
  });
}

}  // namespace flashring
