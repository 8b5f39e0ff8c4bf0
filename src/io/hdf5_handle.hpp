// Hdf5Handle: an HDF5 object that closes itself, and what HDF5 says of its errors.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

namespace flashring {

/// Negative ids are objects that could not be opened.
class Hdf5Handle {
 public:
  using Closer = herr_t (*)(hid_t);
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  Hdf5Handle(Hdf5Handle &&other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), closer_(other.closer_) {}
  Hdf5Handle &operator=(Hdf5Handle &&other) noexcept {
    std::swap(id_, other.id_);
    std::swap(closer_, other.closer_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ >= 0) closer_(id_);
  }
  hid_t id() const { return id_; }
  bool good() const { return id_ >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Closer closer_ = nullptr;
};

/// While it lives, HDF5 does not print its errors: they become ours.
class Hdf5Silence {
 public:
  Hdf5Silence() {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  Hdf5Silence(const Hdf5Silence &) = delete;
  Hdf5Silence &operator=(const Hdf5Silence &) = delete;
  ~Hdf5Silence() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }

 private:
  H5E_auto2_t print_ = nullptr;  // the caller's error printing, put back at the end
  void *data_ = nullptr;
};

/// The innermost entry of HDF5's error stack: the cause. To be asked before the next call of HDF5.
inline std::string hdf5_reason() {
  std::string reason;
  const H5E_walk2_t keep = [](unsigned, const H5E_error2_t *entry, void *text) -> herr_t {
    if (entry->desc != nullptr) *static_cast<std::string *>(text) = entry->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep, &reason);
  return reason.empty() ? "no reason given" : reason;
}

}  // namespace flashring
