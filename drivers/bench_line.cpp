// The line of a benchmark: one JSON object, and its words.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/version.hpp"

namespace flashring {
namespace {

/// Model of the processor as the system names it.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

/// Processes that wanted a core in the last minute, before this run had an effect; -1 where the system does not tell.
double load() {
  double average = -1;
  getloadavg(&average, 1);
  return average;
}

std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

std::vector<std::string> lines_of(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// An infinite rate is null: such operations cost nothing beside the others.
BenchLine rates_of(const Rates &rates) {
  if (rates.multiply_adds == 0) return nullptr;
  return {{"multiply_adds", rates.multiply_adds},
          {"adds", rates.adds},
          {"exponentials", rates.exponentials},
          {"products", rates.products}};
}

double number(const BenchLine &line, const char *name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_number() ? found->get<double>() : std::nan("");
}

void print_ceilings(const BenchLine &line) {
  const auto rates = line.find("rates");
  if (rates == line.end()) return;
  if (rates->is_null()) {
    std::fprintf(stderr, "ceilings  none: this backend states no limit\n");
    return;
  }
  std::fprintf(stderr, "ceilings  10^9 a second and thread, first measurement -> last:");
  for (const char *kind : {"multiply_adds", "adds", "exponentials", "products"})
    std::fprintf(stderr, " %s %.3g -> %.3g%s", kind, 1e-9 * number(line["rates_first"], kind),
                 1e-9 * number(line["rates_last"], kind), std::string_view(kind) == "products" ? "\n" : ",");
}

void print_figures(const BenchLine &line) {
  if (line["limit_seconds"].is_null())
    std::fprintf(stderr, "limit     none is known\n");
  else
    std::fprintf(stderr, "limit     %.4g s, %.4g effective Gpairs/s\n", number(line, "limit_seconds"),
                 1e-9 * number(line, "limit_pairs_per_second"));
  std::fprintf(stderr, "measured  %.4g s, %.4g effective Gpairs/s; median of %d, best %.4g s\n",
               number(line, "seconds"), 1e-9 * number(line, "pairs_per_second"), line["repeats"].get<int>(),
               number(line, "seconds_best"));
  if (!line["fraction"].is_null())
    std::fprintf(stderr, "fraction  %.3f, best %.3f\n", number(line, "fraction"), number(line, "fraction_best"));
}

void print_extras(const BenchLine &line) {
  if (line["ranks"] > 1)
    std::fprintf(stderr, "links     %.3g bytes sent a pass, %.1f %% of the time spent waiting\n",
                 number(line, "link_bytes"), 100 * number(line, "wait_fraction"));
  if (line.contains("memory_bytes") && !line["memory_bytes"].is_null())
    std::fprintf(stderr, "memory    %.1f MB above the start, by formula %.1f MB\n", 1e-6 * number(line, "memory_bytes"),
                 1e-6 * number(line, "memory_formula_bytes"));
  if (line.contains("variants"))
    for (const BenchLine &v : line["variants"])
      std::fprintf(stderr, "%-9s %-6s  %.4g s, %.3g bytes sent, %.1f %% waiting\n",
                   v["exchange"].get<std::string>().c_str(), v["route"].get<std::string>().c_str(),
                   number(v, "seconds"), number(v, "link_bytes"), 100 * number(v, "wait_fraction"));
  if (line.contains("speedup"))
    std::fprintf(stderr, "speedup   %.3f from one thread (%.4g s) to %d ranks of %d threads\n", number(line, "speedup"),
                 number(line, "single_seconds"), line["ranks"].get<int>(), line["threads"].get<int>());
}

/// Mode rows: no pairs, but entries beside their copy.
void print_rows(const BenchLine &line) {
  std::fprintf(stderr,
               "rows: %.0f rows of %.0f scores through %s in %s on %s; sums within %.2g, at most %d iterations\n",
               number(line, "rows"), number(line, "n"), line["family"].get<std::string>().c_str(),
               line["precision"].get<std::string>().c_str(), line["backend"].get<std::string>().c_str(),
               number(line, "sum_error"), line["iterations"].get<int>());
  for (const char *name : {"copy", "forward", "backward"})
    std::fprintf(stderr, "%-9s %.4g s, %.4g Gentries/s, %.3f of a copy; median of %d, best %.4g s\n", name,
                 number(line[name], "seconds"), 1e-9 * number(line[name], "entries_per_second"),
                 number(line[name], "fraction"), line[name]["repeats"].get<int>(), number(line[name], "seconds_best"));
}

void print_pairs(const BenchLine &line) {
  const auto text = [&](const char *name) { return line[name].get<std::string>(); };
  std::fprintf(stderr, "%s: %.0f points, %d features, %d columns; %s in %s on %s (%s), %d ranks of %d threads\n",
               text("mode").c_str(), number(line, "n"), line["d"].get<int>(), line["columns"].get<int>(),
               text("pair").c_str(), text("precision").c_str(), text("backend").c_str(), text("target").c_str(),
               line["ranks"].get<int>(), line["threads"].get<int>());
  std::fprintf(stderr, "work      %.4g pairs evaluated for %.4g, %.3g flops, %.3g bytes to and from tiles\n",
               number(line, "pairs"), number(line, "effective_pairs"), number(line, "flops"), number(line, "bytes"));
  print_ceilings(line);
  print_figures(line);
  print_extras(line);
}

}  // namespace

BenchLine whole(double value) {
  if (std::abs(value) < 0x1p63) return static_cast<std::int64_t>(std::llround(value));
  return value;
}

void describe_run(BenchLine &line, const Communicator &communicator, const DriverOptions &options,
                  const OperatorOptions &op, const Backend &backend) {
  line["version"] = version();
  line["git"] = git_commit();
  line["build"] = lines_of(build_description());
  line["date"] = date_now();
  line["cpu"] = cpu_name();
  line["load"] = load();
  line["backend"] = backend.name;
  line["target"] = backend.target;
  line["tile_rows"] = backend.tile_rows;
  line["ranks"] = communicator.size();
  line["threads"] = op.threads;
  line["pair"] = to_string(op.pair);
  line["precision"] = to_string(op.precision);
  line["options"] = BenchLine::object();
  for (const auto &[name, value] : options.provenance(op)) line["options"][name] = value;
}

void describe_work(BenchLine &line, const BenchWork &work, const BenchTimes &times, double limit_seconds) {
  const bool limited = limit_seconds > 0;
  line["pairs"] = whole(times.pairs);
  line["effective_pairs"] = whole(work.effective_pairs);
  line["flops"] = work.operations.flops();
  line["bytes"] = whole(work.bytes);
  line["link_bytes"] = whole(times.link_bytes);
  line["repeats"] = times.seconds.size();
  line["seconds"] = times.median();
  line["seconds_best"] = times.best();
  line["limit_seconds"] = limited ? BenchLine(limit_seconds) : BenchLine();
  line["pairs_per_second"] = work.effective_pairs / times.median();
  line["evaluated_pairs_per_second"] = times.pairs / times.median();
  line["flops_per_second"] = work.operations.flops() / times.median();
  line["limit_pairs_per_second"] = limited ? BenchLine(work.effective_pairs / limit_seconds) : BenchLine();
  line["fraction"] = limited ? BenchLine(limit_seconds / times.median()) : BenchLine();
  line["fraction_best"] = limited ? BenchLine(limit_seconds / times.best()) : BenchLine();
  line["wait_fraction"] = times.wait_fraction();
}

void describe_ceilings(BenchLine &line, const Ceilings &ceilings) {
  line["rates"] = rates_of(ceilings.best());
  line["rates_first"] = rates_of(ceilings.first());
  line["rates_last"] = rates_of(ceilings.last());
}

void print_line(const BenchLine &line) {
  line["mode"] == "rows" ? print_rows(line) : print_pairs(line);
  std::printf("%s\n", line.dump(-1, ' ', false, BenchLine::error_handler_t::replace).c_str());
}

}  // namespace flashring
