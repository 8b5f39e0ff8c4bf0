// What gpu_bench prints: a table, and the same as JSON.
#include "flashring/options.hpp"
#include "gpu_bench.hpp"

namespace flashring::gpu_bench {
namespace {

const char *pattern_of(const Case &one) {
  if (one.host_points) return "host";
  return one.square ? "square" : "rectangle";
}

double effective_pairs(const Case &one) { return static_cast<double>(one.rows) * static_cast<double>(one.rows); }

double per_second(double pairs, const Measured &measured) {
  return measured.seconds > 0 ? pairs / measured.seconds : 0;
}

double fraction_of(const Row &row) {
  const double least = row.limits.least();
  return least > 0 ? per_second(row.measured.evaluated, row.measured) / least : 0;
}

void print_json(const Row &row, std::FILE *json) {
  const Case &c = row.one;
  const Measured &m = row.measured;
  std::fprintf(json,
               "{\"kind\":\"pass\",\"backend\":\"%s\",\"target\":\"%s\",\"precision\":\"%s\",\"row\":\"%s\","
               "\"pattern\":\"%s\",\"features\":%d,\"columns\":%d,\"rows\":%lld,",
               row.backend.c_str(), row.target.c_str(), to_string(c.precision), row_rule(c.row).name, pattern_of(c),
               c.features, c.columns, static_cast<long long>(c.rows));
  if (m.not_run.empty())
    std::fprintf(json,
                 "\"seconds\":%.6g,\"runs\":%d,\"evaluated_per_second\":%.6g,\"effective_per_second\":%.6g,"
                 "\"exponential_limit\":%.6g,\"tensor_limit\":%.6g,\"arithmetic_limit\":%.6g,\"fraction\":%.4g}\n",
                 m.seconds, m.runs, per_second(m.evaluated, m), per_second(effective_pairs(c), m),
                 row.limits.exponential, row.limits.tensor, row.limits.arithmetic, fraction_of(row));
  else
    std::fprintf(json, "\"not_run\":\"%s\"}\n", m.not_run.c_str());
  std::fflush(json);
}

}  // namespace

void print_ceilings(const ceilings::GpuRates &r, std::FILE *json) {
  std::printf(
      "ceilings, per second: copy %.3g B, multiply-adds fp32 %.3g, fp64 %.3g, ex2 %.3g, bf16 mma %.3g, wgmma "
      "%.3g\n\n",
      r.copied_bytes, r.fma_fp32, r.fma_fp64, r.ex2, r.mma, r.wgmma);
  if (json == nullptr) return;
  std::fprintf(json,
               "{\"kind\":\"ceilings\",\"copied_bytes\":%.6g,\"fma_fp32\":%.6g,\"fma_fp64\":%.6g,\"ex2\":%.6g,"
               "\"mma_bf16\":%.6g,\"wgmma_bf16\":%.6g}\n",
               r.copied_bytes, r.fma_fp32, r.fma_fp64, r.ex2, r.mma, r.wgmma);
}

void print_header() {
  std::printf("%-12s %-7s %-18s %-9s %4s %3s %8s %10s %9s %9s %9s %9s %9s %6s\n", "backend", "", "row", "pattern", "d",
              "c", "N", "seconds", "pairs/s", "effective", "exp", "tensor", "multiply", "of it");
}

void print_row(const Row &row, std::FILE *json) {
  const Case &c = row.one;
  const Measured &m = row.measured;
  std::printf("%-12s %-7s %-18s %-9s %4d %3d %8lld ", row.backend.c_str(), to_string(c.precision), row_rule(c.row).name,
              pattern_of(c), c.features, c.columns, static_cast<long long>(c.rows));
  if (m.not_run.empty())
    std::printf("%10.3e %9.2e %9.2e %9.2e %9.2e %9.2e %6.2f\n", m.seconds, per_second(m.evaluated, m),
                per_second(effective_pairs(c), m), row.limits.exponential, row.limits.tensor, row.limits.arithmetic,
                fraction_of(row));
  else
    std::printf("not run: %s\n", m.not_run.c_str());
  std::fflush(stdout);
  if (json != nullptr) print_json(row, json);
}

}  // namespace flashring::gpu_bench
