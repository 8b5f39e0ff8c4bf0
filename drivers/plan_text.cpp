#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include "driver.hpp"
#include "flashring/block_krylov_schur.h"
#include "flashring/diffusion_map.hpp"

namespace flashring {
namespace {

/// Passes per pair asked for, of krylovschur and of blocks of one vector from the Nystrom start, measured for ten pairs
/// to a residual of 1e-8.
struct Spectrum {
  const char *name;
  double krylovschur, block;
};
constexpr std::array<Spectrum, 3> spectra{{{"fast", 3.4, 2.6}, {"medium", 7, 5.9}, {"slow", 21.7, 18.5}}};

/// Those of a whole run, at most N columns. Blocks of p vectors take p^-0.62 as many (src/solve/block_size.cpp).
double expected_passes(const DiffusionMapPlan &plan, const Spectrum &spectrum, int pairs) {
  const auto n = static_cast<double>(plan.shape.rows);
  if (plan.solver != EPSBLOCKKRYLOVSCHUR) return std::min(n, std::max(pairs + 15.0, spectrum.krylovschur * pairs));
  const double passes = std::max(2.0, spectrum.block * pairs * std::pow(plan.columns, -0.62));
  return std::ceil(std::min(n / plan.columns, passes));
}

[[gnu::format(printf, 2, 3)]] void append(std::string &text, const char *format, ...) {
  std::array<char, 512> line{};
  std::va_list values;
  va_start(values, format);
  std::vsnprintf(line.data(), line.size(), format, values);
  va_end(values);
  text += line.data();
}

void append_phase(std::string &text, const PlanPhase &phase, double started) {
  append(text, "\nmemory per rank while %s\n", phase.name.c_str());
  append(text, "  %-36s %12.1f MB\n", "program as started", 1e-6 * started);
  for (const bool on_device : {false, true})
    for (const MemoryPart &part : phase.memory)
      if (part.on_device == on_device)
        append(text, "  %-36s %12.1f MB%s\n", part.name.c_str(), 1e-6 * part.bytes, on_device ? " of the GPU" : "");
  append(text, "  %-36s %12.1f MB\n", "total", 1e-6 * (started + sum_of(phase.memory)));
  if (sum_of(phase.memory, true) > 0)
    append(text, "  %-36s %12.1f MB of the GPU\n", "total", 1e-6 * sum_of(phase.memory, true));
}

}  // namespace

PlanSeconds measure_plan(const Communicator &communicator, const OperatorOptions &options, const DiffusionMapPlan &plan,
                         int pairs) {
  const auto seconds = [&](Precision precision, int columns) {
    return measure_pass(communicator, options, plan.shape, precision, columns);
  };
  return {seconds(options.precision, plan.columns), seconds(Precision::fp64, 1),
          seconds(Precision::fp64, residual_block(pairs)),
          needs_slope(options) ? measure_slope(communicator, options, plan.shape) : 0};
}

std::string memory_text(const RunPlan &plan) {
  std::string text;
  append(text, "dry run: nothing is computed, nothing is written\n%lld %s", static_cast<long long>(plan.shape.rows),
         plan.unit.c_str());
  if (plan.shape.features > 0) append(text, ", %d features", plan.shape.features);
  append(text, "; %d ranks of %d threads\n", plan.ranks, plan.threads);
  if (!plan.exchange.value.empty())
    append(text, "exchange %s: %s\n", plan.exchange.value.c_str(), plan.exchange.reason.c_str());
  if (!plan.points_memory.value.empty() && plan.uses_device)
    append(text, "points in the memory of the %s: %s\n", plan.points_memory.value.c_str(),
           plan.points_memory.reason.c_str());
  for (const PlanPhase &phase : plan.phases) append_phase(text, phase, plan.started_bytes);
  append(text, "\npeak %.1f MB per rank; %.0f MB more are free (limit: %s)%s\n",
         1e-6 * (plan.started_bytes + plan.peak()), 1e-6 * plan.room.bytes, plan.room.limit.c_str(),
         plan.peak() > plan.room.bytes ? ": too little, the run would be refused" : "");
  if (plan.uses_device)
    append(text, "peak %.1f MB per GPU, of which %.0f MB are free%s\n", 1e-6 * plan.peak(true),
           1e-6 * plan.device_room.bytes,
           plan.peak(true) > plan.device_room.bytes ? ": too little, the run would be refused" : "");
  return text;
}

std::string plan_text(const DiffusionMapPlan &plan, const PlanSeconds &seconds, int pairs,
                      const OperatorOptions &options) {
  std::string text = memory_text(plan);
  const auto n = static_cast<double>(plan.shape.rows);
  append(text, "pairs per pass: %.3g, of which %.3g are evaluated (symmetry)\n", n * n, n * (n + 1) / 2);
  const int blocks = residual_passes(pairs);
  const int set_up = set_up_passes(options.normalization);
  append(text, "seconds per pass: %.3g in %s with %d columns; set-up %d passes of %.3g in fp64; residuals %d of %.3g\n",
         seconds.solving, to_string(options.precision), plan.columns, set_up, seconds.set_up, blocks,
         seconds.residuals);
  if (seconds.bandwidth > 0)
    append(text, "-beta %s: one pass of %.3g seconds sums all candidates\n", options.bandwidth.c_str(),
           seconds.bandwidth);
  const double fixed = seconds.bandwidth + set_up * seconds.set_up + blocks * seconds.residuals;
  for (const Spectrum &spectrum : spectra) {
    const double passes = expected_passes(plan, spectrum, pairs);
    append(text, "expected total: %.3g s with %.0f passes of %s (%s spectrum)\n", fixed + passes * seconds.solving,
           passes, plan.solver == EPSBLOCKKRYLOVSCHUR ? EPSBLOCKKRYLOVSCHUR : EPSKRYLOVSCHUR, spectrum.name);
  }
  return text;
}

}  // namespace flashring
