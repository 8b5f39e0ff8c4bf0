// Pairs per second of every backend on a GPU, beside limits made of ceilings that are measured in the same run. Needs
// the core library alone.
//
//   gpu_bench                                 all backends of this machine's GPU, for 4 minutes at most
//   gpu_bench -seconds 120 -json rows.jsonl   and one JSON object a line
//   gpu_bench -list                           their names; exit code 77 where there is none
//   gpu_bench -backend ref -tiny              does everything run? Any backend will do
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "gpu_bench.hpp"

namespace flashring::gpu_bench {
namespace {

constexpr int nothing_to_run = 77;
/// For the copy: many times the cache of any GPU.
constexpr std::size_t scratch_bytes = std::size_t{1} << 30;
/// One case may take this part of what is left, so that a slow one does not take the time of all others.
constexpr double share_of_case = 0.1;
/// Timed passes of a case.
constexpr double enough_seconds = 0.3;

struct Options {
  std::string backend;
  std::string json;
  double seconds = 240;
  bool tiny = false;
  bool list = false;
};

Options read_options(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    const bool more = i + 1 < argc;
    if (key == "-tiny")
      options.tiny = true;
    else if (key == "-list")
      options.list = true;
    else if (key == "-backend" && more)
      options.backend = argv[++i];
    else if (key == "-json" && more)
      options.json = argv[++i];
    else if (key == "-seconds" && more)
      options.seconds = std::atof(argv[++i]);
    else
      throw Error("usage: gpu_bench [-backend NAME] [-seconds S] [-json FILE] [-tiny] [-list]; not: " + key);
  }
  FLASHRING_CHECK(options.seconds > 0, "-seconds: ", options.seconds, " is not a time");
  return options;
}

std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  for (const std::string &name : backend_names())
    if (find_backend(name).device != nullptr) names.push_back(name);
  return names;
}

ceilings::GpuRates measure_ceilings(const Backend &backend, std::FILE *json) {
  ceilings::GpuRates r;
  if (backend.device == nullptr || backend.device->queue() == nullptr) return r;
  std::byte *const scratch = backend.device->allocate(scratch_bytes);
  FLASHRING_CHECK(scratch != nullptr, "out of device memory: ", scratch_bytes, " bytes cannot be had");
  const std::string wrong = ceilings::measure(backend.device->queue(), scratch, scratch_bytes, r);
  backend.device->release(scratch);
  FLASHRING_CHECK(wrong.empty(), "the ceilings were not measured: ", wrong);
  print_ceilings(r, json);
  return r;
}

/// Backends take turns in each case, so that what the time does not allow is missing for all.
void run(const std::vector<std::string> &names, const Options &options, std::FILE *json) {
  const auto begin = std::chrono::steady_clock::now();
  const ceilings::GpuRates rates = measure_ceilings(find_backend(names.front()), json);
  const bool device = find_backend(names.front()).device != nullptr;
  run_scores(device ? "cuda" : "auto", rates.copied_bytes, options.tiny, json);
  print_header();
  std::vector<Row> rows;
  const std::vector<Case> cases = all_cases(options.tiny);
  for (std::size_t at = 0; at < cases.size();) {
    std::size_t end = at;  // cases of the same points
    while (end < cases.size() && cases[end].precision == cases[at].precision &&
           cases[end].features == cases[at].features && cases[end].rows == cases[at].rows &&
           cases[end].host_points == cases[at].host_points)
      ++end;
    for (const std::string &name : names) {
      const Backend &backend = find_backend(name);
      Passes passes(backend, options.tiny ? 0 : enough_seconds);
      for (std::size_t i = at; i < end; ++i) {
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
        const Measured measured = passes.measure(cases[i], share_of_case * (options.seconds - spent.count()));
        rows.push_back({name, backend.target, cases[i], measured, limits(backend, cases[i], rates)});
        print_row(rows.back(), json);
      }
    }
    at = end;
  }
  for (const Verdict &verdict : verdicts(rows)) print_verdict(verdict, json);
}

int main_of(const Options &options) {
  const std::vector<std::string> names = options.backend.empty() ? gpu_names() : std::vector{options.backend};
  if (options.list)
    for (const std::string &name : names) std::printf("%s %s\n", name.c_str(), find_backend(name).target);
  if (names.empty())
    std::fprintf(stderr, "gpu_bench: no usable GPU here: %s; -backend NAME takes another backend\n",
                 why_no_device().c_str());
  if (options.list || names.empty()) return names.empty() ? nothing_to_run : 0;
  std::FILE *const json = options.json.empty() ? nullptr : std::fopen(options.json.c_str(), "w");
  FLASHRING_CHECK(options.json.empty() || json != nullptr, "-json: ", options.json, " cannot be written");
  run(names, options, json);
  const bool written = json == nullptr || std::fclose(json) == 0;
  FLASHRING_CHECK(written, "-json: ", options.json, " is not complete; is the disk full?");
  return 0;
}

}  // namespace
}  // namespace flashring::gpu_bench

int main(int argc, char **argv) {
  try {
    return flashring::gpu_bench::main_of(flashring::gpu_bench::read_options(argc, argv));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
