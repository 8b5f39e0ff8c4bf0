// ProjectedArray: an array of SLEPc's projected problem for as long as the object lives.
#pragma once

#include <slepcds.h>

#include "flashring/petsc_mat.hpp"

namespace flashring {

class ProjectedArray {
 public:
  ProjectedArray(DS ds, DSMatType which) : ds_(ds), which_(which) {
    check_petsc(DSGetLeadingDimension(ds_, &ld_), "DSGetLeadingDimension");
    check_petsc(DSGetArray(ds_, which_, &values_), "DSGetArray");
  }
  ~ProjectedArray() { DSRestoreArray(ds_, which_, &values_); }
  ProjectedArray(const ProjectedArray &) = delete;
  ProjectedArray &operator=(const ProjectedArray &) = delete;
  PetscScalar &operator()(PetscInt i, PetscInt j) { return values_[i + j * ld_]; }

 private:
  DS ds_;
  DSMatType which_;
  PetscInt ld_ = 0;
  PetscScalar *values_ = nullptr;
};

}  // namespace flashring
