#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "driver.hpp"
#include "flashring/diffusion_map.hpp"

namespace flashring {
namespace {

/// Passes of krylovschur per pair asked for, measured for ten pairs to a residual of 1e-8.
struct Spectrum {
  const char *name;
  double passes_per_pair;
};
constexpr std::array<Spectrum, 3> spectra{{{"fast", 3.4}, {"medium", 7}, {"slow", 21.7}}};

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

std::string plan_text(const RunPlan &plan, const PassTime &time, int pairs, const char *precision) {
  std::string text;
  const auto n = static_cast<double>(plan.shape.rows);
  append(text, "dry run: nothing is computed, nothing is written\n%lld points, %d features; %d ranks of %d threads\n",
         static_cast<long long>(plan.shape.rows), plan.shape.features, plan.ranks, plan.threads);
  append(text, "exchange %s: %s\n", plan.exchange.value.c_str(), plan.exchange.reason.c_str());
  if (plan.uses_device)
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
  append(text, "pairs per pass: %.3g, of which %.3g are evaluated (symmetry)\n", n * n, n * (n + 1) / 2);
  const int blocks = residual_passes(pairs);
  append(text, "seconds per pass: %.3g in %s; set-up 2 passes of %.3g in fp64; residuals %d of %.3g\n", time.working,
         precision, time.fp64, blocks, time.block);
  const double fixed = 2 * time.fp64 + blocks * time.block;
  for (const Spectrum &spectrum : spectra) {
    const double passes = std::min(n, std::max(pairs + 15.0, spectrum.passes_per_pair * pairs));
    append(text, "expected total: %.3g s with %.0f passes of krylovschur (%s spectrum)\n",
           fixed + passes * time.working, passes, spectrum.name);
  }
  return text;
}

}  // namespace flashring
