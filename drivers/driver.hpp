// What every driver does alike: start and end, options, progress, errors that stop all ranks.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/eigensolve.hpp"
#include "flashring/input.hpp"
#include "flashring/kernel_operator.hpp"
#include "flashring/options.hpp"
#include "flashring/plan.hpp"
#include "flashring/results.hpp"

namespace flashring {

/// Exit codes that users may rely on.
enum ExitCode : int { exit_converged = 0, exit_error = 2, exit_not_converged = 3, exit_interrupted = 4 };

/// The form is a driver's own choice.
inline constexpr std::array<std::string_view, 1> only_form{"form"};

/// A driver's name, purpose and own options (those of the operator, and of input where it reads points, are added).
struct DriverText {
  const char *name;
  const char *purpose;
  const char *example;
  std::span<const Option> options;
  bool solves = true;  ///< reads points and runs a solver, whose options are then declared and explained
  std::span<const std::string_view> left_out = only_form;  ///< options of the operator that do nothing here
  bool eigenpairs = true;                                  ///< the solver is SLEPc's
};

/// The options of a run as text, read from PETSc's option data base: command line, -options_file, PETSC_OPTIONS.
class DriverOptions {
 public:
  explicit DriverOptions(const DriverText &text) : text_(text) {}
  /// Reads every declared option; those of input and operator go to `input` and `op`. Throws Error.
  void read(InputOptions &input, OperatorOptions &op);
  /// Value of an own option: as given, or its default.
  const std::string &value(const std::string &name) const;
  /// Whether the user gave it; options of the operator, too.
  bool given(const std::string &name) const;
  /// Another value of an own option is used than the one that was read.
  void use(const std::string &name, const std::string &value);
  bool flag(const std::string &name) const { return value(name) == "true"; }
  /// Name and value of everything that was used, defaults included: a command line that repeats the run.
  std::vector<std::pair<std::string, std::string>> provenance(const OperatorOptions &op) const;
  /// Throws Error naming the options that nothing has asked for; PETSc's and SLEPc's viewers ask later and are left
  /// out. `solver_has_read`: false as long as the solver's own options cannot be judged.
  void refuse_unused(bool solver_has_read) const;

 private:
  struct Value {
    std::string name, value;
    bool given = false;
  };
  const Value &find(const std::string &name) const;

  const DriverText &text_;
  std::vector<Value> values_;                // options of the driver and of its input
  std::vector<std::string> operator_given_;  // names of those of the operator that the user gave
};

/// How far a run is, on rank 0: on a terminal one line that is rewritten, elsewhere a line a minute on standard error.
class StatusLine {
 public:
  explicit StatusLine(const Communicator &communicator);
  StatusLine(const StatusLine &) = delete;
  StatusLine &operator=(const StatusLine &) = delete;
  ~StatusLine();
  bool active() const { return active_; }
  /// Since it was made, seconds.
  double elapsed() const;
  void show(const char *text);

 private:
  bool active_, terminal_;
  double start_, last_;
  std::size_t width_ = 0;
};

/// How far the solver is, and how many passes are left, after every step.
class ProgressLine {
 public:
  ProgressLine(const Communicator &communicator, const KernelOperator &op);
  void show(const EigenProgress &progress);

 private:
  struct Sample {
    double passes, log_error;
  };
  double passes_left(const EigenProgress &progress);

  const KernelOperator &op_;
  StatusLine line_;
  std::vector<Sample> history_;
};

/// Each rank takes a GPU of its own where the backend runs on GPUs. Collective.
void choose_device(const Communicator &communicator, const OperatorOptions &op);

/// Seconds of the passes of a diffusion map.
struct PlanSeconds {
  double solving = 0;    ///< the solver's columns in the working precision
  double set_up = 0;     ///< one column in fp64
  double residuals = 0;  ///< residual_block(pairs) columns in fp64
  double bandwidth = 0;  ///< the slope of all candidates for beta; 0: not asked for
};
/// From some milliseconds of tiles each. Collective.
PlanSeconds measure_plan(const Communicator &communicator, const OperatorOptions &options, const DiffusionMapPlan &plan,
                         int pairs);

/// What -dry_run prints first: the size of the run and the memory of every phase.
std::string memory_text(const RunPlan &plan);

/// What -dry_run prints: memory of every phase, and the time for typical numbers of passes.
std::string plan_text(const DiffusionMapPlan &plan, const PlanSeconds &seconds, int pairs,
                      const OperatorOptions &options);

/// What a run's report says of options, ranks, backend and memory; `op` is resolved. Collective.
Report start_report(const Communicator &communicator, const DriverOptions &options, const OperatorOptions &op);
/// The same of an operator, and of its work; results and seconds are the caller's.
/// Collective.
Report make_report(const Communicator &communicator, const DriverOptions &options, const KernelOperator &op);

/// How -beta slope or auto came to the length scale, in a line on rank 0; nothing for the other rules.
void print_bandwidth(const Communicator &communicator, const KernelOperator &op);

/// Throws Error where the option alpha or alpha_list, `name`, is given beside weights that it has no part in.
void check_alpha(const DriverOptions &options, const OperatorOptions &op, const std::string &name);

/// -nev of a program that reads a model of `most` pairs; all of them without it.
int get_model_pairs(const DriverOptions &options, int most);

/// Tells which of run_files are in the folder of a run.
void print_written(const std::string &folder);

/// Seconds since some fixed moment.
double seconds_now();

/// Starts PETSc and SLEPc, runs `body`, and turns what it throws into one message and an exit code: an Error that all
/// ranks share is printed once and ends every rank normally; any other exception aborts the job. `-help` prints the
/// declared options, `-help all` those of PETSc and SLEPc too.
int run_driver(int argc, char **argv, const DriverText &text,
               const std::function<int(const Communicator &, DriverOptions &)> &body);

}  // namespace flashring
