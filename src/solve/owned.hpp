// Objects of SLEPc that go with their owner.
#pragma once

#include <slepcbv.h>
#include <slepcst.h>

#include <memory>
#include <type_traits>

#include "flashring/petsc_mat.hpp"

namespace flashring {

/// STGetOperator for as long as this lives.
class StOperator {
 public:
  explicit StOperator(ST st) : st_(st) { check_petsc(STGetOperator(st_, &mat_), "STGetOperator"); }
  ~StOperator() { STRestoreOperator(st_, &mat_); }
  StOperator(const StOperator &) = delete;
  StOperator &operator=(const StOperator &) = delete;
  Mat get() const { return mat_; }

 private:
  ST st_;
  Mat mat_ = nullptr;
};

struct DestroyBv {
  void operator()(BV bv) const { BVDestroy(&bv); }
};
using OwnedBv = std::unique_ptr<std::remove_pointer_t<BV>, DestroyBv>;

}  // namespace flashring
