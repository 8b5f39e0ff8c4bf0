// A computation of many steps that writes a checkpoint after each, for the tests that kill it: what it says in the end
// depends on every step and every row, but not on the number of ranks.
//
// usage: checkpoint_writer FILE ROWS STEPS [restart]
#include <mpi.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/fingerprint.hpp"
#include "io/checkpoint_claim.hpp"
#include "io/checkpoint_reader.hpp"

namespace flashring {
namespace {

constexpr int columns = 6;

struct Run {
  const Communicator &communicator;
  std::string file;
  std::int64_t steps;
  RowPartition partition;
  std::vector<double> values;  // (local rows, columns), column after column
  std::int64_t step = 0;

  std::int64_t local_rows() const { return partition.local_rows(communicator.rank()); }
  CheckpointState::Words identity() const {
    return {{"rows", std::to_string(partition.rows())}, {"steps", std::to_string(steps)}};
  }
  void say(const std::string &text) const {
    if (communicator.rank() == 0) std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }
};

void restart(Run &run) {
  const CheckpointReader reader(run.communicator, run.file);
  if (!reader.finding().empty()) run.say("note: " + reader.finding());
  const std::string differences = identity_differences(reader.file(), reader.state().identity, run.identity());
  if (!differences.empty()) throw Error(differences, true);
  run.step = reader.state().integers.at("step");
  reader.read_array("values", run.partition, run.values.data(), run.local_rows());
  run.say("from step " + std::to_string(run.step));
}

void advance(Run &run) {
  for (std::int64_t i = 0; i < run.local_rows(); ++i)
    for (int c = 0; c < columns; ++c) {
      const auto row = static_cast<double>(run.partition.global_row(run.communicator.rank(), LocalRow{i}).value);
      double &value = run.values[static_cast<std::size_t>(c * run.local_rows() + i)];
      value = 0.75 * value + std::sqrt(row + c + static_cast<double>(run.step));
    }
  ++run.step;
}

void save(const Run &run) {
  CheckpointState state;
  state.identity = run.identity();
  state.integers = {{"step", run.step}};
  try {
    write_checkpoint(run.communicator, run.partition, run.file, state,
                     {{"values", columns, run.values.data(), run.local_rows()}});
  } catch (const Error &error) {
    if (!error.common()) throw;
    run.say(std::string("warning: ") + error.what());  // the computation goes on
  }
}

void work(const Communicator &communicator, int count, char **arguments) {
  FLASHRING_CHECK(count == 4 || count == 5, "usage: checkpoint_writer FILE ROWS STEPS [restart]");
  const auto partition = RowPartition::contiguous(std::strtoll(arguments[2], nullptr, 10), communicator.size());
  Run run{communicator, arguments[1], std::strtoll(arguments[3], nullptr, 10), partition, {}};
  run.values.resize(static_cast<std::size_t>(run.local_rows() * columns));
  const CheckpointClaim claim(communicator, run.file);
  if (count == 5) restart(run);
  while (run.step < run.steps) {
    advance(run);
    save(run);
  }
  std::uint64_t answer = 0;
  for (std::int64_t c = 0; c < columns; ++c)
    answer += fingerprint(
        communicator, partition,
        std::span(run.values)
            .subspan(static_cast<std::size_t>(c * run.local_rows()), static_cast<std::size_t>(run.local_rows())));
  run.say("answer " + to_hex(answer));
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int code = 0;
  try {
    const auto communicator = flashring::make_mpi_communicator(MPI_COMM_WORLD);
    try {
      flashring::work(*communicator, argc, argv);
    } catch (const flashring::Error &error) {
      if (communicator->rank() == 0) std::printf("error: %s\n", error.what());
      std::fflush(stdout);
      if (!error.common()) communicator->abort(3);
      code = 2;
    }
  } catch (const std::exception &error) {
    std::printf("error: %s\n", error.what());
    code = 3;
  }
  MPI_Finalize();
  return code;
}
