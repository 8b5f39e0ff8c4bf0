// Solvers in turn on one operator: time, passes, memory, and whether every eigenvalue is there as often as it occurs.
#include "eigen_bench.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <memory>

#include "base/pages.hpp"
#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/memory.hpp"
#include "flashring/petsc_mat.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

struct DestroyMat {
  void operator()(Mat A) const { MatDestroy(&A); }
};
using OwnedMat = std::unique_ptr<std::remove_pointer_t<Mat>, DestroyMat>;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

/// All runs of a program: makes operators, solves, measures.
class SolverBench {
 public:
  SolverBench(const Communicator &communicator, const DriverOptions &options, const EigenBenchSettings &settings)
      : communicator_(communicator),
        options_(options),
        settings_(settings),
        op_options_(settings.op),
        input_(read_input(settings.input, communicator)) {
    for (const SolverEntry &entry : settings.solvers) all_.push_back({entry, {}, {}, {}, false, {}, 0});
  }

  /// Throws Interrupted; what was measured by then is in findings().
  void run() {
    new_operator();
    op_options_ = op_->options();  // the bandwidth is settled once
    for (const SolverFindings &found : all_) check_options(found.entry);
    for (SolverFindings &found : all_) look(found);
    const FoundValues best = best_values(all_);
    for (SolverFindings &found : all_) found.missed = count_missed(best, found);
    for (int repeat = 0; repeat < settings_.repeats; ++repeat)
      for (SolverFindings &found : all_) {
        if (settings_.fresh) new_operator();
        SolverRun run;
        solve(found.entry, run);
        found.runs.push_back(run);
      }
  }
  std::vector<SolverFindings> &findings() { return all_; }
  const OperatorOptions &resolved() const { return op_options_; }

 private:
  struct OptionsRead {};

  void new_operator() {
    A_.reset();
    op_.reset();
    const MPI_Comm comm = mpi_comm(communicator_);
    op_ = make_operator(comm, op_options_, input_);
    op_->set_stop(StopSignals::asked);
    op_->degree();  // the set-up passes
    Mat A = nullptr;
    check_petsc(mat_create(comm, op_, &A), "mat_create");
    A_.reset(A);
  }

  EigenRequest request_of(const SolverEntry &entry) const {
    EigenRequest request = settings_.request;
    request.prefix = entry.prefix;
    return request;
  }

  /// Names of options are looked at before the first solver has taken its time.
  void check_options(const SolverEntry &entry) {
    check_petsc(PetscOptionsPrefixPush(nullptr, entry.prefix.c_str()), "PetscOptionsPrefixPush");
    check_petsc(PetscOptionsInsertString(nullptr, entry.options.c_str()), "PetscOptionsInsertString");
    check_petsc(PetscOptionsPrefixPop(nullptr), "PetscOptionsPrefixPop");
    EigenRequest request = request_of(entry);
    request.before_first_pass = [&] {
      communicator_.agree([&] { options_.refuse_unused(true); });
      throw OptionsRead();
    };
    try {
      eigensolve(A_.get(), request);
    } catch (const OptionsRead &) {
      return;
    } catch (const Error &error) {
      throw Error(detail::concatenate("-solvers: '", entry.text, "': ", error.what()), true);
    }
  }

  EigenPairs solve(const SolverEntry &entry, SolverRun &run) {
    release_free_memory();  // of the solver before: what is taken anew then counts
    reset_peak_memory();
    const double resident = resident_bytes();
    const Counters before = op_->counters();
    communicator_.max(0.0);
    const std::clock_t cpu = std::clock();
    const double begin = seconds_now();
    EigenPairs pairs = eigensolve(A_.get(), request_of(entry));
    run.seconds = communicator_.max(seconds_now() - begin);
    run.cpu_seconds = communicator_.max(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    const Counters &after = op_->counters();
    run.pass_seconds = communicator_.max(after.ring.seconds - before.ring.seconds);
    run.passes = after.passes - before.passes;
    run.column_passes = after.column_passes - before.column_passes;
    const double peak = peak_memory();
    const bool known = communicator_.min(peak) > 0;
    const double memory = communicator_.max(std::max(0.0, peak - resident));
    if (known) run.memory = memory;
    if (pairs.interrupted) throw Interrupted("interrupted by the user");
    return pairs;
  }

  /// Runs are alike but for a block that a solver chooses by time, so one of them says what is found.
  void look(SolverFindings &found) {
    SolverRun run;
    const EigenPairs pairs = solve(found.entry, run);
    found.values = pairs.values;
    found.residuals = residuals(*op_, pairs.values, pairs.vectors);
    found.complete = pairs.complete;
    found.status = pairs.status;
  }

  const Communicator &communicator_;
  const DriverOptions &options_;
  const EigenBenchSettings &settings_;
  OperatorOptions op_options_;
  Input input_;
  std::shared_ptr<KernelOperator> op_;
  OwnedMat A_;
  std::vector<SolverFindings> all_;
};

}  // namespace

std::vector<SolverEntry> parse_solvers(std::string_view list) {
  std::vector<SolverEntry> entries;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(';', begin), list.size());
    const std::string entry(trimmed(list.substr(begin, end - begin)));
    begin = end + 1;
    if (entry.empty()) continue;
    FLASHRING_CHECK(entry[0] != '-', "-solvers: '", entry,
                    "' names no solver; write -eps_type's word before its options");
    const std::string prefix = detail::concatenate("solver", entries.size() + 1, "_");
    entries.push_back({entry, "-eps_type " + entry, prefix});
  }
  FLASHRING_CHECK(!entries.empty(), "-solvers: '", list,
                  "' names no solver; an example: \"krylovschur;subspace -eps_ncv 32\"");
  return entries;
}

const SolverRun &SolverFindings::median() const {
  std::vector<const SolverRun *> sorted;
  for (const SolverRun &run : runs) sorted.push_back(&run);
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end(),
                   [](const SolverRun *a, const SolverRun *b) { return a->seconds < b->seconds; });
  return **middle;
}

double SolverFindings::least_seconds() const {
  double least = HUGE_VAL;
  for (const SolverRun &run : runs) least = std::min(least, run.seconds);
  return least;
}

FoundValues best_values(std::span<const SolverFindings> all) {
  FoundValues best;
  for (const SolverFindings &found : all)
    for (std::size_t k = 0; k < found.values.size(); ++k) {
      if (k == best.values.size()) {
        best.values.push_back(found.values[k]);
        best.residuals.push_back(found.residuals[k]);
      } else if (found.values[k] > best.values[k]) {
        best.values[k] = found.values[k];
        best.residuals[k] = found.residuals[k];
      }
    }
  return best;
}

int count_missed(const FoundValues &best, const SolverFindings &found) {
  // Rounding of the values themselves, beside which residuals of small matrices may be nothing.
  constexpr double rounding = 1e-14;
  int missed = 0;
  std::size_t next = 0;
  for (std::size_t k = 0; k < best.values.size(); ++k) {
    const double slack = best.residuals[k] + rounding * std::abs(best.values[0]);
    while (next < found.values.size() && found.values[next] > best.values[k] + slack + found.residuals[next]) ++next;
    if (next < found.values.size() && found.values[next] >= best.values[k] - slack - found.residuals[next])
      ++next;
    else
      ++missed;
  }
  return missed;
}

std::vector<SolverFindings> run_solvers(const Communicator &communicator, const DriverOptions &options,
                                        EigenBenchSettings &settings, bool &interrupted) {
  SolverBench bench(communicator, options, settings);
  try {
    bench.run();
  } catch (const Interrupted &) {
    interrupted = true;
  }
  settings.op = bench.resolved();
  return std::move(bench.findings());
}

int fastest_of(std::span<const SolverFindings> all, int pairs) {
  int best = -1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].runs.empty() || !all[i].right(pairs)) continue;
    if (best < 0 || all[i].median().seconds < all[static_cast<std::size_t>(best)].median().seconds)
      best = static_cast<int>(i);
  }
  return best;
}

}  // namespace flashring
