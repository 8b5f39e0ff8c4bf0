#include "solve/block_state.hpp"

#include <algorithm>

#include "flashring/check.hpp"

namespace flashring {
namespace {

PetscInt count(const CheckpointState &checkpoint, const char *name, PetscInt most) {
  const std::int64_t value = stored_number(checkpoint.integers, name);
  FLASHRING_CHECK(value >= 0 && value <= most, "the checkpoint says ", name, " ", value, ", outside [0, ", most,
                  "] of this solver; give the -eps_ncv of the run that wrote it");
  return static_cast<PetscInt>(value);
}

const std::vector<double> &array(const CheckpointState &checkpoint, const char *name, PetscInt size) {
  const auto found = checkpoint.arrays.find(name);
  FLASHRING_CHECK(found != checkpoint.arrays.end() && static_cast<PetscInt>(found->second.size()) == size,
                  "the checkpoint has no array '", name, "' of ", size, " numbers");
  return found->second;
}

/// The leading (rows, columns) of a matrix, column after column.
std::vector<double> leading(const SmallMatrix &A, PetscInt rows, PetscInt columns) {
  std::vector<double> values;
  for (PetscInt j = 0; j < columns; ++j)
    for (PetscInt i = 0; i < rows; ++i) values.push_back(A(i, j));
  return values;
}

void fill(const std::vector<double> &values, PetscInt rows, PetscInt columns, SmallMatrix &A) {
  for (PetscInt j = 0; j < columns; ++j)
    for (PetscInt i = 0; i < rows; ++i)
      A(i, j) = values[static_cast<std::size_t>(i) + static_cast<std::size_t>(j) * static_cast<std::size_t>(rows)];
}

}  // namespace

void store(const BlockState &state, CheckpointState &checkpoint) {
  checkpoint.integers["columns"] = state.m;
  checkpoint.integers["width"] = state.width;
  checkpoint.integers["locked"] = state.locked;
  checkpoint.integers["steps"] = state.steps;
  checkpoint.integers["scouting"] = state.scouting ? 1 : 0;
  checkpoint.integers["random vectors"] = static_cast<std::int64_t>(state.random.used);
  checkpoint.integers["seed"] = static_cast<std::int64_t>(state.random.seed);
  checkpoint.reals["scale"] = state.scale;
  checkpoint.arrays["H"] = leading(state.projected, state.m, state.m);
  checkpoint.arrays["C"] = leading(state.coupling, state.width, state.m);
  checkpoint.arrays["noise"] = state.noise;
  checkpoint.arrays["errors"] = state.errors;
}

BlockState load_block_state(const CheckpointState &checkpoint, PetscInt limit) {
  BlockState state;
  state.m = count(checkpoint, "columns", limit);
  state.width = count(checkpoint, "width", limit);
  state.locked = count(checkpoint, "locked", state.m);
  state.steps = count(checkpoint, "steps", PETSC_MAX_INT);
  state.scouting = stored_number(checkpoint.integers, "scouting") != 0;
  state.random.used = static_cast<std::uint64_t>(stored_number(checkpoint.integers, "random vectors"));
  state.random.seed = static_cast<std::uint64_t>(stored_number(checkpoint.integers, "seed"));
  state.scale = stored_number(checkpoint.reals, "scale");
  state.projected = SmallMatrix(limit, limit);
  state.coupling = SmallMatrix(state.width, state.m);
  fill(array(checkpoint, "H", state.m * state.m), state.m, state.m, state.projected);
  fill(array(checkpoint, "C", state.width * state.m), state.width, state.m, state.coupling);
  state.noise = array(checkpoint, "noise", state.m);
  state.errors = array(checkpoint, "errors", state.locked);
  return state;
}

}  // namespace flashring
