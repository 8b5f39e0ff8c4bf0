#include "solve/block_checkpoint.hpp"

#include <slepc/private/epsimpl.h>

#include <array>
#include <cstdio>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/fingerprint.hpp"
#include "petsc/mat_context.hpp"
#include "solve/basis_columns.hpp"
#include "solve/block_krylov_schur.hpp"

namespace flashring {
namespace {

std::string exact(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", value);
  return text.data();
}

std::string in_words(const PairFunction &pair) {
  std::string text = traits(pair.kind).name;
  for (const double parameter : pair.parameters) text += " " + exact(parameter);
  return text;
}

const Communicator &communicator_of(EPS eps, BlockKrylovSchur &solver) {
  if (solver.choice.op != nullptr) return solver.choice.op->communicator();
  if (solver.checkpoint.communicator == nullptr)
    solver.checkpoint.communicator = make_mpi_communicator(PetscObjectComm((PetscObject)eps));
  return *solver.checkpoint.communicator;
}

/// Rows as vectors have them.
RowPartition partition_of(EPS eps, BlockKrylovSchur &solver) {
  if (solver.choice.op != nullptr) return solver.choice.op->partition();
  const Communicator &communicator = communicator_of(eps, solver);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(communicator.size()), 0);
  counts[static_cast<std::size_t>(communicator.rank())] = eps->nloc;
  communicator.sum(std::span<std::int64_t>(counts));
  return RowPartition::from_counts(counts);
}

/// What the eigenpairs depend on, and what the basis needs. Collective.
CheckpointState::Words identity(EPS eps, const BlockKrylovSchur &solver) {
  Mat A = nullptr;
  PetscScalar shift = 0;
  check_petsc(EPSGetOperators(eps, &A, nullptr), "EPSGetOperators");
  check_petsc(STGetShift(eps->st, &shift), "STGetShift");
  CheckpointState::Words words{{"solver", "blockkrylovschur"},
                               {"rows", std::to_string(eps->n)},
                               {"problem type", std::to_string(eps->problem_type)},
                               {"which eigenvalues", std::to_string(eps->which)},
                               {"target", exact(eps->target)},
                               {"shift", exact(shift)},
                               {"matrix type", ((PetscObject)A)->type_name}};
  const std::shared_ptr<KernelOperator> &op = solver.choice.op;
  if (op == nullptr) return words;
  MatContext *context = nullptr;
  check_petsc(mat_context(A, &context), "mat_context");
  words.insert(words.end(), {{"points", to_hex(op->fingerprint())},
                             {"pair", in_words(op->options().pair)},
                             {"alpha", exact(op->options().alpha)},
                             {"normalization", to_string(op->options().normalization)},
                             {"form", to_string(op->options().form)},
                             {"precision", to_string(op->options().precision)},
                             {"scale of the matrix", exact(context->scale)},
                             {"shift of the matrix", exact(context->shift)}});
  const auto of_rows = [&](bool given, std::span<const double> values, const char *otherwise) {
    return given ? to_hex(fingerprint(op->communicator(), op->partition(), values)) : std::string(otherwise);
  };
  words.emplace_back("measure", of_rows(op->weighted(), op->measure(), "ones"));
  words.emplace_back("target density", of_rows(op->targeted(), op->target(), "none"));
  words.emplace_back("h of the Doob transform", of_rows(op->transformed(), op->doob_h(), "none"));
  words.emplace_back("set outside which is killed", of_rows(op->killed(), op->doob_h(), "none"));
  return words;
}

/// The array of a BV for as long as this lives.
class ReadArray {
 public:
  explicit ReadArray(BV of) : columns_(of) { check_petsc(BVGetArrayRead(of, &array_), "BVGetArrayRead"); }
  ~ReadArray() { BVRestoreArrayRead(columns_.basis, &array_); }
  ReadArray(const ReadArray &) = delete;
  ReadArray &operator=(const ReadArray &) = delete;
  CheckpointArray named(const std::string &name, PetscInt count) const {
    return {name, static_cast<int>(count), array_ + columns_.first, columns_.stride};
  }

 private:
  BasisColumns columns_;
  const PetscScalar *array_ = nullptr;
};

}  // namespace

void claim_checkpoint(EPS eps, BlockKrylovSchur &solver) {
  CheckpointOptions &options = solver.checkpoint;
  if (!options.file.empty() && options.claim == nullptr)
    options.claim = std::make_unique<CheckpointClaim>(communicator_of(eps, solver), options.file);
}

BlockCheckpoint::BlockCheckpoint(EPS eps, BlockKrylovSchur &solver) : eps_(eps), solver_(solver) {
  claim_checkpoint(eps, solver);  // where this is another solution since the set-up
}

BlockCheckpoint::~BlockCheckpoint() { solver_.checkpoint.claim.reset(); }

bool BlockCheckpoint::due() const {
  const CheckpointOptions &options = solver_.checkpoint;
  if (options.file.empty()) return false;
  const Communicator &communicator = communicator_of(eps_, solver_);
  const double seconds = std::chrono::duration<double>(Clock::now() - last_).count();
  return communicator.max(communicator.rank() == 0 && seconds >= options.every ? 1.0 : 0.0) != 0;
}

void BlockCheckpoint::write(const BlockState &state, BV V, BV X) {
  if (solver_.checkpoint.file.empty() || state.width == 0) return;
  CheckpointState checkpoint;
  checkpoint.identity = identity(eps_, solver_);
  store(state, checkpoint);
  checkpoint.integers["block size"] = solver_.choice.size;
  checkpoint.integers["basis size"] = eps_->ncv;
  const ReadArray basis(V);
  const ReadArray block(X);
  std::vector<CheckpointArray> arrays{block.named("block", state.width)};
  if (state.m > 0) arrays.push_back(basis.named("basis", state.m));
  const Communicator &communicator = communicator_of(eps_, solver_);
  const std::shared_ptr<KernelOperator> &op = solver_.choice.op;
  if (op != nullptr) {
    const Counters &work = op->counters();
    checkpoint.integers["passes"] = work.earlier_passes + work.passes;
    checkpoint.reals["seconds of passes"] = work.earlier_seconds + communicator.max(work.ring.seconds);
  }
  if (op != nullptr && op->options().form != Form::kernel) {
    arrays.push_back({"density", 1, op->density().data(), op->local_rows()});
    arrays.push_back({"weight", 1, op->weight().data(), op->local_rows()});
    arrays.push_back({"degree", 1, op->degree().data(), op->local_rows()});
  }
  try {
    communicator.agree([&] { solver_.checkpoint.claim->check(); });
    write_checkpoint(communicator, partition_of(eps_, solver_), solver_.checkpoint.file, checkpoint, arrays);
  } catch (const Error &error) {
    solver_.findings.push_back(
        detail::concatenate("checkpoint after ", state.steps, " products: ", error.what(), "; the run goes on"));
  }
  last_ = Clock::now();
}

void prepare_checkpoints(EPS eps, BlockKrylovSchur &solver) {
  CheckpointOptions &options = solver.checkpoint;
  claim_checkpoint(eps, solver);
  if (options.restart.empty() || options.reader != nullptr) return;
  options.reader = std::make_shared<CheckpointReader>(communicator_of(eps, solver), options.restart);
}

PetscInt open_checkpoint(EPS eps, BlockKrylovSchur &solver) {
  const Communicator &communicator = communicator_of(eps, solver);
  const CheckpointReader &reader = *solver.checkpoint.reader;
  if (!reader.finding().empty()) solver.findings.push_back(reader.finding());
  const CheckpointState::Words here = identity(eps, solver);
  const std::shared_ptr<KernelOperator> &op = solver.choice.op;
  PetscInt block = 0;
  communicator.agree([&] {
    const std::string differences = identity_differences(reader.file(), reader.state().identity, here);
    FLASHRING_CHECK(differences.empty(), "-restart: another problem: ", differences);
    const auto &integers = reader.state().integers;
    block = static_cast<PetscInt>(stored_number(integers, "block size"));
    FLASHRING_CHECK(solver.asked == 0 || solver.asked == block, "-restart: ", reader.file(), " has blocks of ", block,
                    ", and -eps_blockkrylovschur_blocksize asks for ", solver.asked);
    const auto basis = static_cast<PetscInt>(stored_number(integers, "basis size"));
    FLASHRING_CHECK(eps->ncv < 1 || eps->ncv >= basis, "-restart: ", reader.file(), " has a basis of ", basis,
                    " columns, and -eps_ncv asks for ", eps->ncv);
    if (eps->ncv < 1) eps->ncv = basis;
    if (op != nullptr)
      op->restore_work(stored_number(integers, "passes"), stored_number(reader.state().reals, "seconds of passes"));
  });
  if (op == nullptr || reader.columns("weight") != 1) return block;
  const auto column = [&](const char *name) {
    std::vector<double> values(static_cast<std::size_t>(op->local_rows()));
    reader.read_array(name, op->partition(), values.data(), op->local_rows());
    return values;
  };
  op->restore_set_up(column("density"), column("weight"), column("degree"));
  return block;
}

void read_columns(EPS eps, BlockKrylovSchur &solver, const std::string &name, BV to) {
  const BasisColumns columns(to);
  PetscScalar *array = nullptr;
  check_petsc(BVGetArray(to, &array), "BVGetArray");
  solver.checkpoint.reader->read_array(name, partition_of(eps, solver), array + columns.first, columns.stride);
  check_petsc(BVRestoreArray(to, &array), "BVRestoreArray");
}

}  // namespace flashring
