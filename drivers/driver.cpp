#include "driver.hpp"

#include <slepceps.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/devices.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/version.hpp"

namespace flashring {
namespace {

bool is_flag(const Option &option) { return std::strcmp(option.values, "true|false") == 0; }

/// Value of an option in PETSc's data base; false when it was not given. A flag without a value reads as "true".
bool find_option(const Option &option, std::string &value) {
  const std::string name = option.name;
  const char *text = nullptr;
  PetscBool given = PETSC_FALSE;
  check_petsc(PetscOptionsFindPair(nullptr, nullptr, ("-" + name).c_str(), &text, &given), "options");
  if (given == PETSC_FALSE) return false;
  value = text == nullptr ? "" : text;
  if (is_flag(option)) {
    if (value.empty()) value = "true";
    FLASHRING_CHECK(value == "true" || value == "false", "-", name, ": '", value, "' is neither true nor false");
  }
  return true;
}

/// Options that PETSc and SLEPc look up at the very end, or that only they know.
bool asked_later(std::string_view name) {
  constexpr std::string_view prefixes[] = {"eps_view", "eps_error",   "eps_converged_reason",
                                           "mat_view", "st_view",     "bv_view",
                                           "ds_view",  "log_",        "options_",
                                           "malloc",   "memory_view", "citations",
                                           "info",     "on_error",    "dll_",
                                           "help",     "viewer_",     "saws_",
                                           "objects_", "petsc_"};
  return std::any_of(std::begin(prefixes), std::end(prefixes),
                     [&](std::string_view prefix) { return name.substr(0, prefix.size()) == prefix; });
}

bool is_of_solver(std::string_view name) {
  constexpr std::string_view prefixes[] = {"eps_", "st_", "bv_", "ds_", "rg_", "fn_", "ksp_", "pc_", "mat_", "vec_"};
  return std::any_of(std::begin(prefixes), std::end(prefixes),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

const char *fallback(const Option &option) { return *option.fallback == '\0' ? "none" : option.fallback; }

/// Options of the operator that have an effect in this driver.
std::vector<Option> operator_options_of(const DriverText &text) {
  std::vector<Option> some;
  for (const Option &option : operator_options())
    if (std::find(text.left_out.begin(), text.left_out.end(), option.name) == text.left_out.end())
      some.push_back(option);
  return some;
}

/// Options of input, own ones, and those of the operator.
std::vector<Option> all_options(const DriverText &text) {
  std::vector<Option> all(text.options.begin(), text.options.end());
  if (text.solves) all.insert(all.begin(), input_options().begin(), input_options().end());
  const std::vector<Option> of_operator = operator_options_of(text);
  all.insert(all.end(), of_operator.begin(), of_operator.end());
  return all;
}

void print_option(const Option &option) {
  std::printf("  -%-14s %-34s default %s\n                  %s\n", option.name, option.values, fallback(option),
              option.help);
}

/// The table of docs/: the same declarations in another dress.
void print_markdown(const DriverText &text) {
  const auto row = [](const Option &option) {
    std::string values;
    for (const char *c = option.values; *c != '\0'; ++c) {
      if (*c == '|') values += '\\';
      values += *c;
    }
    std::printf("| `-%s` | %s | %s | %s |\n", option.name, values.c_str(), fallback(option), option.help);
  };
  std::printf("| option | values | default | meaning |\n|---|---|---|---|\n");
  for (const Option &option : all_options(text)) row(option);
}

void print_help(const DriverText &text) {
  std::printf("%s: %s\n\nExample: %s\n\n", text.name, text.purpose, text.example);
  for (const Option &option : all_options(text)) print_option(option);
  if (!text.solves) return;
  if (!text.eigenpairs) {
    std::printf(
        "\nOptions files by -options_file FILE, profiles by -log_view. Ctrl-C, SIGTERM and SIGUSR1 end the run after "
        "the "
        "pass\nunder way; what there is is written. Exit codes: 0 converged, 2 error, 3 not converged, 4 "
        "interrupted.\n");
    return;
  }
  std::printf(
      "\nEvery option of SLEPc's EPS works as well (-eps_tol, -eps_type, -eps_ncv, -eps_monitor, ...), options files "
      "by\n"
      "-options_file FILE, profiles by -log_view. -help all lists what PETSc and SLEPc know.\n"
      "Ctrl-C, SIGTERM and SIGUSR1 end the run after the pass under way; what has converged is written. Under Open "
      "MPI's\n"
      "mpirun send SIGUSR1 to mpirun: after Ctrl-C it kills its processes within seconds.\n"
      "Exit codes: 0 converged, 2 error, 3 not converged, 4 interrupted (3, 4: what had converged, if any, is "
      "written).\n");
}

/// MPI is not started yet: what its launcher says.
bool is_first_rank() {
  for (const char *variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    const char *rank = std::getenv(variable);
    if (rank != nullptr && std::strcmp(rank, "0") != 0) return false;
  }
  return true;
}

/// True when help or version were asked for, have been printed, and nothing else is to be done. Before PETSc starts,
/// which has long answers of its own to both.
bool answer_questions(int argc, char **argv, const DriverText &text) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool version = word == "-version" || word == "--version";
    if (!version && word != "-help" && word != "--help" && word != "-h") continue;
    const std::string_view what = i + 1 < argc ? argv[i + 1] : "";
    if (what == "all") return false;
    if (!is_first_rank()) return true;
    if (version)
      std::fputs(build_description().c_str(), stdout);
    else
      what == "markdown" ? print_markdown(text) : print_help(text);
    return true;
  }
  return false;
}

/// PETSc would print a page about a file of options that is not there.
bool options_files_are_there(int argc, char **argv, const DriverText &text) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (!std::string_view(argv[i]).starts_with("-options_file") || access(argv[i + 1], R_OK) == 0) continue;
    if (is_first_rank())
      std::fprintf(stderr, "%s: error: %s %s: cannot be read (%s); check the path\n", text.name, argv[i], argv[i + 1],
                   std::strerror(errno));
    return false;
  }
  return true;
}

/// PETSc passes over words that belong to no option; a forgotten dash should not go unnoticed.
void refuse_stray_words(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] == '-') continue;
    FLASHRING_CHECK(i > 1 && argv[i - 1][0] == '-', "'", argv[i],
                    "' follows no option; options are written -name value");
  }
}

std::vector<double> peak_bytes(const Communicator &communicator) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::vector<double> peaks(static_cast<std::size_t>(communicator.size()), 0.0);
  peaks[static_cast<std::size_t>(communicator.rank())] = 1024.0 * static_cast<double>(usage.ru_maxrss);
  communicator.sum(std::span<double>(peaks));
  return peaks;
}

int guarded(int argc, char **argv, const DriverText &text,
            const std::function<int(const Communicator &, DriverOptions &)> &body) {
  const std::unique_ptr<Communicator> communicator = make_mpi_communicator(PETSC_COMM_WORLD);
  const auto complain = [&](const char *message) { std::fprintf(stderr, "%s: error: %s\n", text.name, message); };
  try {
    communicator->agree([&] { refuse_stray_words(argc, argv); });
    DriverOptions options(text);
    return body(*communicator, options);
  } catch (const Interrupted &) {
    if (communicator->rank() == 0)
      std::fprintf(stderr, "%s: %s\n", text.name,
                   text.solves && text.eigenpairs ? "interrupted before any pair had converged; nothing is written"
                                                  : "interrupted; nothing is written");
    return exit_interrupted;
  } catch (const Error &error) {
    if (error.common() || communicator->size() == 1) {
      if (communicator->rank() == 0) complain(error.what());
      return exit_error;
    }
    complain(detail::concatenate("rank ", communicator->rank(), ": ", error.what()).c_str());
  } catch (const std::bad_alloc &) {
    complain(detail::concatenate("rank ", communicator->rank(),
                                 ": out of memory; -dry_run says what this run needs, more ranks share it")
                 .c_str());
  } catch (const std::exception &error) {
    complain(detail::concatenate("rank ", communicator->rank(), ": ", error.what()).c_str());
  }
  communicator->abort(exit_error);  // the other ranks may be waiting for this one
  return exit_error;
}

}  // namespace

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void DriverOptions::read(InputOptions &input, OperatorOptions &op) {
  std::string value;
  for (const Option &option : text_.options) {
    const bool given = find_option(option, value);
    values_.push_back({option.name, given ? value : option.fallback, given});
  }
  for (const Option &option : text_.solves ? input_options() : std::span<const Option>()) {
    const bool given = find_option(option, value);
    if (given) input.set(option.name, value);
    values_.push_back({option.name, input.get(option.name), given});
  }
  for (const Option &option : operator_options_of(text_)) {
    if (!find_option(option, value)) continue;
    op.set(option.name, value);
    operator_given_.emplace_back(option.name);
  }
}

const DriverOptions::Value &DriverOptions::find(const std::string &name) const {
  const auto found = std::find_if(values_.begin(), values_.end(), [&](const Value &v) { return v.name == name; });
  FLASHRING_REQUIRE(found != values_.end(), "option -", name, " is not declared");
  return *found;
}

const std::string &DriverOptions::value(const std::string &name) const { return find(name).value; }

bool DriverOptions::given(const std::string &name) const {
  for (const Option &option : operator_options_of(text_))
    if (name == option.name)
      return std::find(operator_given_.begin(), operator_given_.end(), name) != operator_given_.end();
  return find(name).given;
}

void DriverOptions::use(const std::string &name, const std::string &value) {
  FLASHRING_REQUIRE(find(name).name == name, "option -", name);
  for (Value &v : values_)
    if (v.name == name) v.value = value;
}

std::vector<std::pair<std::string, std::string>> DriverOptions::provenance(const OperatorOptions &op) const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Value &v : values_)
    if (!v.value.empty()) all.emplace_back(v.name, v.value);
  for (const Option &option : operator_options_of(text_)) {
    const std::string name = option.name;
    if (name != "beta") all.emplace_back(name, op.get(name));  // the pair function carries its length scale
  }
  return all;
}

void DriverOptions::refuse_unused(bool solver_has_read) const {
  PetscInt count = 0;
  char **names = nullptr;
  char **values = nullptr;
  check_petsc(PetscOptionsLeftGet(nullptr, &count, &names, &values), "options");
  std::string unused;
  for (PetscInt i = 0; i < count; ++i)
    if (!asked_later(names[i]) && (solver_has_read || !is_of_solver(names[i])))
      unused += (unused.empty() ? "-" : ", -") + std::string(names[i]);
  check_petsc(PetscOptionsLeftRestore(nullptr, &count, &names, &values), "options");
  FLASHRING_CHECK(unused.empty(), "unused option ", unused, ": nothing of that name is known here; see -help");
}

void choose_device(const Communicator &communicator, const OperatorOptions &op) {
  use_device_of_rank(communicator, op.backend, op.share_devices);
  const std::string note = missing_device_note(op.backend);
  if (communicator.rank() == 0) std::fprintf(stderr, "%s", note.c_str());
}

Report start_report(const Communicator &communicator, const DriverOptions &options, const OperatorOptions &op) {
  const Backend &backend = find_backend(op.backend);
  Report report;
  report.version = version();
  report.git = git_commit();
  report.options = options.provenance(op);
  report.ranks = communicator.size();
  report.threads = op.threads;
  report.backend = backend.name;
  report.target = backend.target;
  report.precision = to_string(op.precision);
  report.exchange = op.exchange;
  report.peak_bytes_per_rank = peak_bytes(communicator);
  return report;
}

Report make_report(const Communicator &communicator, const DriverOptions &options, const KernelOperator &op) {
  const Counters &counters = op.counters();
  const double seconds = std::max(1e-12, communicator.max(counters.ring.seconds));
  Report report = start_report(communicator, options, op.options());
  report.pair = to_string(op.options().pair);
  report.bandwidth = op.bandwidth();
  report.calls = counters.calls;
  report.passes = counters.passes;
  report.column_passes = counters.column_passes;
  report.neighbour_passes = counters.neighbour_passes;
  report.all_passes = counters.earlier_passes + counters.passes;
  report.all_seconds = counters.earlier_seconds + seconds;
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::reduced}) {
    const std::int64_t passes = counters.passes_in[static_cast<std::size_t>(precision)];
    if (passes > 0) report.passes_in.emplace_back(to_string(precision), passes);
  }
  report.landmark_pairs = communicator.sum(counters.landmarks.pairs);
  report.start = report.landmark_pairs > 0 ? "landmarks" : "random vectors";
  const auto n = static_cast<double>(op.rows());
  report.pairs_per_second = n * n * static_cast<double>(counters.passes) / seconds;
  report.evaluated_pairs_per_second = communicator.sum(counters.ring.pairs) / seconds;
  report.ring_wait_fraction = communicator.max(counters.ring.wait_seconds) / seconds;
  report.device_copy_bytes = communicator.sum(counters.ring.bytes_copied);
  return report;
}

void print_bandwidth(const Communicator &communicator, const KernelOperator &op) {
  const Bandwidth &bandwidth = op.bandwidth();
  if (communicator.rank() != 0 || !needs_slope(op.options())) return;
  std::printf("-beta %s took %s by the %s: %s\n", op.options().bandwidth.c_str(), to_string(op.options().pair).c_str(),
              bandwidth.rule.c_str(), bandwidth.reason.c_str());
}

void check_alpha(const DriverOptions &options, const OperatorOptions &op, const std::string &name) {
  const bool targeted = options.given("target");
  FLASHRING_CHECK(!options.given(name) || (op.normalization == Normalization::density && !targeted), "-", name,
                  " has no effect with -", targeted ? "target" : "normalization bistochastic", "; give one of the two");
}

int get_model_pairs(const DriverOptions &options, int most) {
  if (!options.given("nev")) return most;
  const std::int64_t pairs = parse_integer("-nev", options.value("nev"));
  FLASHRING_CHECK(pairs >= 2 && pairs <= most, "-nev: ", pairs, " is outside [2, ", most, "]: the model has ", most,
                  " pairs");
  return static_cast<int>(pairs);
}

void print_written(const std::string &folder) {
  std::printf("written to %s/:", folder.c_str());
  for (const char *file : run_files)
    if (std::filesystem::exists(std::filesystem::path(folder) / file)) std::printf(" %s", file);
  std::printf("\n");
}

int run_driver(int argc, char **argv, const DriverText &text,
               const std::function<int(const Communicator &, DriverOptions &)> &body) {
  if (answer_questions(argc, argv, text)) return 0;
  if (!options_files_are_there(argc, argv, text)) return exit_error;
  setenv("OPENBLAS_NUM_THREADS", "1", 0);  // ranks and our own threads fill the cores already
  if (SlepcInitialize(&argc, &argv, nullptr, text.purpose) != PETSC_SUCCESS) return exit_error;
  // Errors come back as codes and are printed once, as a sentence, not as a trace per rank.
  PetscPushErrorHandler(PetscReturnErrorHandler, nullptr);
  int code = exit_error;
  if (FlashringRegisterAll() == PETSC_SUCCESS) code = guarded(argc, argv, text, body);
  PetscOptionsClearValue(nullptr, "-options_left");  // already refused before the first pass
  PetscOptionsSetValue(nullptr, "-options_left", "no");
  PetscPopErrorHandler();
  const bool ended = SlepcFinalize() == PETSC_SUCCESS;
  return ended ? code : exit_error;
}

}  // namespace flashring
