#include "map_run.hpp"

#include <algorithm>
#include <numeric>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/neighbours.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/readers.hpp"
#include "signals.hpp"

namespace flashring {
namespace {

std::shared_ptr<KernelOperator> operator_of(const Communicator &communicator, const MapSettings &settings, Input input,
                                            Neighbour *neighbour) {
  std::vector<double> h;
  std::vector<char> inside;
  if (!settings.doob.empty()) h = read_vector("-doob", settings.doob, settings.shape.rows, communicator);
  if (!settings.doob_set.empty())
    inside = read_point_set("-doob_eigenvector", settings.doob_set, input.points, communicator);
  std::shared_ptr<KernelOperator> op = make_operator(mpi_comm(communicator), settings.op, std::move(input));
  if (!settings.doob.empty()) op->transform(h);
  if (!settings.doob_set.empty()) op->kill_outside(inside);
  op->set_stop(StopSignals::asked);
  print_bandwidth(communicator, *op);
  if (neighbour != nullptr) neighbour->prepare(*op);
  return op;
}

/// Rows that are killed have no eigenvectors.
int pairs_within(const Communicator &communicator, const DriverOptions &options, const KernelOperator &op, int pairs) {
  if (!op.killed()) return pairs;
  const std::span<const double> inside = op.doob_h();
  const auto count = static_cast<std::int64_t>(communicator.sum(std::accumulate(inside.begin(), inside.end(), 0.0)));
  if (pairs > count && options.given("nev"))
    throw Error(detail::concatenate("-nev: ", pairs, " is outside [1, ", count, "]: so many points are in the set of ",
                                    "-doob_eigenvector"),
                true);
  return static_cast<int>(std::min<std::int64_t>(pairs, count));
}

/// Set-up and solution; `setup_done` is the moment between the two.
DiffusionMap solve(const Communicator &communicator, const DriverOptions &options, KernelOperator &op, Mat A,
                   DiffusionMapRequest &request, double &setup_done) {
  ProgressLine line(communicator, op);
  request.eigen.progress = [&](const EigenProgress &progress) { line.show(progress); };
  request.eigen.before_first_pass = [&] {
    communicator.agree([&] { options.refuse_unused(true); });
    if (request.eigen.restart.empty()) op.degree();  // the set-up passes; a checkpoint has what they give
    setup_done = seconds_now();
  };
  return diffusion_map(A, op, request);
}

/// How points came to their lengths or covariances.
void note_lengths(const MapSettings &settings, std::int64_t copies, Results &results) {
  const PointScale scale = point_scale(settings.op.pair.kind);
  const bool given = !settings.input.point_scales.empty() || !settings.input.point_covariances.empty();
  if (scale == PointScale::none || given) return;
  results.knn = settings.op.knn;
  const bool lengths = scale == PointScale::length;
  if (copies > 0)
    results.diagnoses.push_back(detail::concatenate(
        lengths ? "lengths" : "covariances", " of points: ", copies, " points have ", settings.op.knn,
        " neighbours in the same place; they have the smallest ", lengths ? "length" : "variance", " of the others"));
}

}  // namespace

MapOutcome solve_map(const Communicator &communicator, const DriverOptions &options, const MapSettings &settings,
                     OutputFolder &folder, Neighbour *neighbour) {
  const double start = seconds_now();
  Input input = read_input(settings.input, communicator);
  const double read_done = seconds_now();
  input.search = tune_point_scales(communicator, settings.op, input.points);
  const std::int64_t copies = input.search.copies;
  const double tuning_done = seconds_now();
  folder.write_points(input.points);
  const double points_written = seconds_now();

  std::shared_ptr<KernelOperator> op = operator_of(communicator, settings, std::move(input), neighbour);
  Mat A = nullptr;
  check_petsc(mat_create(mpi_comm(communicator), op, &A), "mat_create");
  DiffusionMapRequest request = settings.request;
  request.eigen.pairs = pairs_within(communicator, options, *op, request.eigen.pairs);
  const bool from_neighbour = neighbour != nullptr && neighbour->has_start();
  if (from_neighbour)
    request.eigen.start = [&](int columns) { return neighbour->start(*op, request.nystrom, columns); };
  MapOutcome outcome;
  double setup_done = 0;
  outcome.map = solve(communicator, options, *op, A, request, setup_done);
  const double solve_done = seconds_now();
  check_petsc(MatDestroy(&A), "MatDestroy");

  note_lengths(settings, copies, outcome.map.results);
  Report &report = outcome.report = make_report(communicator, options, *op);
  if (neighbour != nullptr) neighbour->remember(*op);
  op.reset();  // its memory is free while files are written, unless a solver that was interrupted holds on to it
  report.status = outcome.map.complete ? "converged" : outcome.map.status;
  if (from_neighbour) report.start = "neighbour";
  if (!request.eigen.restart.empty()) report.start = "checkpoint";
  report.seconds_read = read_done - start;
  report.seconds_setup = setup_done - points_written + tuning_done - read_done;
  report.seconds_solve = solve_done - setup_done;
  report.seconds_total = seconds_now() - start - (points_written - tuning_done);  // the folder adds its own seconds
  return outcome;
}

void plan_doob(RunPlan &plan) {
  const std::int64_t rows = (plan.shape.rows + plan.ranks - 1) / plan.ranks;
  for (std::size_t p = 1; p < plan.phases.size(); ++p)
    plan.phases[p].memory.push_back({"h of the Doob transform", 2 * 8.0 * static_cast<double>(rows)});
}

std::vector<std::string> map_labels(const Communicator &communicator, const DriverOptions &options, std::int64_t rows) {
  if (options.value("labels").empty()) return {};
  return read_labels(options.value("labels"), rows, communicator);
}

std::string passes_text(const Report &report) {
  std::string precisions;
  for (const auto &[precision, passes] : report.passes_in)
    precisions += (precisions.empty() ? "" : ", ") + std::to_string(passes) + " in " + precision;
  if (report.neighbour_passes > 0) precisions += "; " + std::to_string(report.neighbour_passes) + " for neighbours";
  std::string text = std::to_string(report.passes) + " passes (" + precisions + ")";
  if (report.start == "checkpoint") text += ", " + std::to_string(report.all_passes) + " in all runs";
  return text;
}

int exit_code(const DiffusionMap &map) {
  if (map.interrupted) return exit_interrupted;
  return map.complete ? exit_converged : exit_not_converged;
}

}  // namespace flashring
