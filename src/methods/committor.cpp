// Committor q and mean first-passage time t, with y = g q, g = (m d)^(1/2), M = diag(g) P diag(g)^-1:
//
//   (1 - 1_I M 1_I) y = 1_I M (g 1_B),  q = y/g inside I, I all points but A and B;
//   (1 - 1_J M 1_J) y = 1_J g,          t = y/g,          J all points but B
//
// Solved by committor_systems.cpp. Rate and current: one fp64 pass with columns q, q^2, 1 - q, (1 - q)^2.
//
// Neighbours j of i with q_j near q_i cancel in P q^2 - 2 q P q + q^2; with 1 - q in the place of q where q > 1/2 they
// do so only where the current is small beside others. References: E, Vanden-Eijnden, J. Stat. Phys. 123 (2006) 503;
// Metzner, Schuette, Vanden-Eijnden, Multiscale Model. Simul. 7 (2009) 1192.
#include "flashring/committor.hpp"

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "methods/committor_systems.hpp"

namespace flashring {
namespace {

using Vectors = std::vector<double>;  // (local_rows, columns)

void check_sets(const KernelOperator &op, const CommittorRequest &request) {
  const Communicator &communicator = op.communicator();
  std::vector<std::int64_t> counts(3, 0);  // of A, B, the others
  communicator.agree([&] {
    const auto n = static_cast<std::size_t>(op.local_rows());
    FLASHRING_REQUIRE(request.a.size() == n && request.b.size() == n, "sets of ", request.a.size(), " and ",
                      request.b.size(), " flags for ", n, " rows");
    for (std::size_t i = 0; i < n; ++i) {
      FLASHRING_CHECK(request.a[i] == 0 || request.b[i] == 0, "row ",
                      op.global_row(LocalRow{static_cast<std::int64_t>(i)}).value,
                      " is in both sets; a committor needs sets without common points");
      ++counts[request.a[i] != 0 ? 0 : request.b[i] != 0 ? 1 : 2];
    }
  });
  communicator.sum(std::span<std::int64_t>(counts));
  const char *const names[] = {"set A holds no point", "set B holds no point", "there is no point outside the sets"};
  for (std::size_t k = 0; k < counts.size(); ++k)
    if (counts[k] == 0) throw Error(detail::concatenate("committor: ", names[k], "; take other sets"), true);
}

/// Rate and current, from P applied to q, q^2, 1 - q and its square.
void find_current(KernelOperator &op, const std::vector<double> &root_law, CommittorResults &results) {
  const std::size_t n = root_law.size();
  const std::vector<double> &q = results.committor;
  Vectors x(4 * n);
  Vectors y(4 * n);
  for (std::size_t i = 0; i < n; ++i) {
    const double p = 1 - q[i];
    const double columns[] = {q[i], q[i] * q[i], p, p * p};
    for (std::size_t c = 0; c < 4; ++c) x[c * n + i] = root_law[i] * columns[c];
  }
  const auto ld = static_cast<std::int64_t>(n);
  op.apply_fp64(x.data(), ld, y.data(), ld, 4);
  double rate = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double g = root_law[i];
    const std::size_t first = q[i] <= 0.5 ? 0 : 2;
    const double f = q[i] <= 0.5 ? q[i] : 1 - q[i];
    const double square = std::max(0.0, y[(first + 1) * n + i] / g - 2 * f * y[first * n + i] / g + f * f);
    results.current.push_back(results.pi[i] * std::sqrt(square));
    rate += 0.5 * results.pi[i] * square;
  }
  results.rate = op.communicator().sum(rate);
}

CommittorResults results_of(KernelOperator &op, const CommittorRequest &request, const CommittorSystems &solution) {
  const std::vector<double> &g = solution.root_law();
  const std::size_t n = g.size();
  CommittorResults results;
  results.rows = op.rows();
  results.features = op.features();
  results.alpha = op.options().alpha;
  results.normalization = op.targeted() ? "target" : to_string(op.options().normalization);
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) total += g[i] * g[i];
  total = op.communicator().sum(total);
  for (std::size_t i = 0; i < n; ++i) {
    const bool in_b = request.b[i] != 0;
    results.set.push_back(request.a[i] != 0 ? 1 : in_b ? 2 : 0);
    results.pi.push_back(g[i] * g[i] / total);
    results.committor.push_back(in_b ? 1 : solution.y()[i] / g[i]);
    if (request.times) results.first_passage.push_back(solution.y()[n + i] / g[i]);
  }
  results.committor_residual = solution.residuals()[0];
  if (request.times) results.first_passage_residual = solution.residuals()[1];
  results.iterations = solution.iterations();
  results.preconditioner = solution.has_coarse() ? "nystrom" : "diagonal";
  results.findings = solution.findings();
  return results;
}

}  // namespace

void check_committor(const CommittorRequest &request) {
  const std::string &word = request.preconditioner;
  FLASHRING_CHECK(word == "auto" || word == "diagonal" || word == "nystrom", "preconditioner: '", word,
                  "' is unknown; known are auto, diagonal, nystrom");
  FLASHRING_CHECK(request.tolerance > 0 && request.tolerance < 1, "tolerance: ", request.tolerance,
                  " is outside (0, 1)");
  FLASHRING_CHECK(request.most_iterations >= 1, "iterations: ", request.most_iterations, "; at least 1 is needed");
  check_nystrom(request.nystrom);
}

Committor committor(KernelOperator &op, const CommittorRequest &request) {
  FLASHRING_REQUIRE(op.options().form == Form::symmetric && !op.transformed() && !op.killed(),
                    "a committor needs form symmetric, without a Doob transform");
  op.communicator().agree([&] { check_committor(request); });
  check_sets(op, request);
  CommittorSystems solution(op, request);
  solution.solve();
  op.set_stop({});
  Committor found;
  found.results = results_of(op, request, solution);
  find_current(op, solution.root_law(), found.results);
  found.complete = solution.complete();
  found.interrupted = solution.interrupted() && !found.complete;
  const double residual = std::max(found.results.committor_residual, found.results.first_passage_residual);
  if (found.complete)
    found.status = "converged";
  else if (found.interrupted)
    found.status = "interrupted by the user";
  else
    found.status = detail::concatenate("not converged: relative residual ", residual, " after ",
                                       found.results.iterations, " iterations, ", request.tolerance, " is asked for");
  return found;
}

RunPlan plan_committor(const Communicator &communicator, const OperatorOptions &options, PointShape shape, bool times) {
  RunPlan plan = start_plan(communicator, options, shape);
  OperatorOptions resolved = options;
  resolved.points_memory = plan.points_memory.value;
  const double vector = 8 * std::ceil(static_cast<double>(shape.rows) / plan.ranks);  // of the rank that has most
  const int systems = times ? 2 : 1;
  PlanPhase solving{"solving", operator_memory(resolved, shape, plan.ranks, coarse_columns, plan.exchange.value)};
  // Right side, diagonal, y and a copy, two residuals, x, r, z, d, directions and their products; guesses of the coarse
  // spaces with their products, and these when they are independent.
  solving.memory.push_back({"systems and directions", 12 * systems * vector});
  solving.memory.push_back({"coarse spaces", 4.0 * coarse_columns * vector});
  solving.memory.push_back({"law, sets, results and shown coordinates", 10 * vector});
  // Code and tables of MPI, HDF5 and OpenMP that the program as started had not touched: measured, whatever N.
  solving.memory.push_back({"libraries at work", 8e6});
  plan.phases = {{"reading", input_memory(options, shape, plan.ranks)}, solving};
  if (needs_slope(options)) plan.phases.insert(plan.phases.begin() + 1, slope_phase(communicator, resolved, shape));
  return plan;
}

}  // namespace flashring
