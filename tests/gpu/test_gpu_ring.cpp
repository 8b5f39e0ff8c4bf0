// One rank of a ring over GPUs, started by a script (run_ranks.sh) with its rank and a folder: communicator over files,
// transport nccl, and backend ref on rank 0 as the judge. Where no GPU is usable, the device that is none and a
// transport over the communicator stand in, so that this program is tested itself.
//
//   test_gpu_ring -rank R -size P -folder F [-mode check|copies|time|lost] [-patience SECONDS] [-json FILE]
//
//   check   rules x precisions x sides x routes, square and rectangular, with fresh points; also twice the same bits
//   copies  the same in fp32 without NCCL: messages are copied to the host and back, and points may stay there
//   time    seconds of a pass over more and more points, beside those of its parts and a model of both
//   (ring_times.hpp);
//           the same to FILE as a JSON object a line
//   lost    the last rank leaves in mid-run: all others must say so within three times the patience
//
// Exit code 0: all is well. 1: a wrong answer. 3: an error. 7: the rank that leaves. 77: nothing to run.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "gpu/blocks.hpp"
#include "gpu/ring_problem.hpp"
#include "gpu/ring_times.hpp"
#include "gpu_bench.hpp"
#include "support/fake_device.hpp"
#include "support/gather_transport.hpp"

namespace flashring::test {
namespace {

constexpr int leaving_code = 7;

struct Arguments {
  int rank = -1;
  int size = 0;
  std::string folder;
  std::string mode = "check";
  std::string json;
  int patience = 120;
};

Arguments read_arguments(int argc, char **argv) {
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
  Arguments arguments;
  const auto take = [&](const char *key, auto set) {
    const auto found = given.find(key);
    if (found == given.end()) return;
    set(found->second);
    given.erase(found);
  };
  take("-rank", [&](const std::string &text) { arguments.rank = std::atoi(text.c_str()); });
  take("-size", [&](const std::string &text) { arguments.size = std::atoi(text.c_str()); });
  take("-folder", [&](const std::string &text) { arguments.folder = text; });
  take("-mode", [&](const std::string &text) { arguments.mode = text; });
  take("-patience", [&](const std::string &text) { arguments.patience = std::atoi(text.c_str()); });
  take("-json", [&](const std::string &text) { arguments.json = text; });
  const std::string &mode = arguments.mode;
  const bool known = mode == "check" || mode == "copies" || mode == "time" || mode == "lost";
  FLASHRING_CHECK(given.empty() && argc % 2 == 1 && known && arguments.patience > 0 && !arguments.folder.empty(),
                  "usage: test_gpu_ring -rank R -size P -folder F [-mode check|copies|time|lost] [-patience SECONDS] "
                  "[-json FILE]");
  return arguments;
}

bool has_nccl() {
  for (const std::string_view name : transport_names())
    if (name == "nccl") return true;
  return false;
}

/// Not the device that is none.
bool is_real(const Backend &backend) { return backend.device->queue() != nullptr; }

std::unique_ptr<Transport> open_transport(const Backend &backend, const Communicator &communicator,
                                          const Arguments &arguments) {
  if (!is_real(backend) || arguments.mode == "copies") return make_gather_transport(communicator, backend.device);
  TransportOptions options;
  options.patience = std::chrono::seconds(arguments.patience);
  return make_transport("nccl", communicator, backend.device, options);
}

std::uint64_t common_seed(const Communicator &communicator) {
  std::uint64_t seed = communicator.rank() == 0 ? run_seed() : 0;
  communicator.broadcast(std::as_writable_bytes(std::span(&seed, 1)), 0);
  return seed;
}

std::string describe(const RingProblem &p) {
  const char *const sides[] = {"", "own", "visiting", "both"};
  return name_of(p.shape()) + (p.square ? " square " : " rectangle ") + sides[static_cast<int>(p.sides)] +
         (p.options.route == Route::direct ? " direct" : " travel") +
         (p.memory == PointsMemory::host ? " points of the host" : "");
}

/// `copies`: fewer, some with points of the host.
std::vector<RingProblem> problems(std::uint64_t seed, bool real, bool copies) {
  std::vector<RingProblem> list;
  for (const RowKind row : all_rows)
    for (const Precision precision : all_precisions)
      for (const bool square : {true, false})
        for (const Sides sides : {Sides::own, Sides::both})
          for (const Route route : {Route::direct, Route::travel}) {
            if (route == Route::travel && sides == Sides::own) continue;  // nothing comes home
            if (copies && precision != Precision::fp32) continue;
            RingProblem p;
            p.row = row;
            p.precision = precision;
            p.square = square;
            p.sides = sides;
            p.options.route = route;
            p.options.threads = real ? 8 : 1;  // of ref
            if (copies && square) p.memory = PointsMemory::host;
            p.own_rows = real ? 3000 : 400;  // some tiles on every rank, the last one not full
            p.source_rows = real ? 2001 : 301;
            p.features = square ? 3 : 20;
            p.seed = seed;
            list.push_back(p);
          }
  return list;
}

/// Wrong answers, the same number on every rank.
int check(const Backend &backend, const Communicator &communicator, Transport &transport, bool copies) {
  int wrong = 0;
  for (RingProblem p : problems(common_seed(communicator), is_real(backend), copies)) {
    if (!backend.supports(p.shape())) continue;
    const RingSums sums = ring_sums(p, backend, communicator, transport);
    p.passes = 2;
    const RingSums again = ring_sums(p, backend, communicator, transport);
    std::string fault;
    if (communicator.rank() == 0) {
      const RingAnswer answer = ref_answer(p, backend);
      fault = outside(sums, answer);
      if (again.own != sums.own || again.visiting != sums.visiting) fault += " other bits when repeated";
      std::printf("%s on %d ranks, %s: %s (%.2f of the bound)\n", backend.name, communicator.size(),
                  describe(p).c_str(), fault.empty() ? "ok" : fault.c_str(), worst_ratio(sums, answer));
    }
    wrong += communicator.max(fault.empty() ? 0.0 : 1.0) > 0 ? 1 : 0;
  }
  return wrong;
}

/// The same as a JSON object, with what this rank's queue did.
void print_json(const RingProblem &p, const Backend &backend, const RingTimes &t, int ranks, std::FILE *json) {
  std::fprintf(json,
               "{\"kind\":\"ring\",\"backend\":\"%s\",\"ranks\":%d,\"pattern\":\"%s\",\"rows\":%zu,\"seconds\":%.6g,"
               "\"model\":%.6g,\"hidden\":%.4g,\"waited\":%.6g,\"compute\":%.6g,\"moving\":%.6g,\"pairs\":%.6g,"
               "\"bytes\":%.6g,\"exchanges\":[",
               backend.name, ranks, p.sides == Sides::both ? "square" : "rectangle", p.own_rows, t.both, t.model,
               t.hidden(), t.waited, t.compute, t.moving, t.pairs, t.bytes);
  const char *separator = "";
  for (const ExchangeTime &e : t.timeline) {
    std::fprintf(json, "%s{\"what\":\"%s\",\"start\":%.6g,\"reached\":%.6g,\"arrived\":%.6g}", separator,
                 e.block ? "block" : "state", e.start, e.reached, e.arrived);
    separator = ",";
  }
  std::fprintf(json, "]}\n");
  std::fflush(json);
}

/// What is asked of a ring: its model within 20 %.
gpu_bench::Verdict verdict_of(const RingProblem &p, const Backend &backend, const RingTimes &t) {
  return {"ring, seconds beside the model, the larger over the other",
          detail::concatenate(backend.name, p.sides == Sides::both ? " square" : " one side", " N=", p.own_rows),
          t.misfit(), 1.2, false};
}

/// `json`: null on all ranks but the first, or on all.
void time(const Backend &backend, const Communicator &communicator, Transport &transport, std::FILE *json) {
  std::string last;  // what the largest number of points says, for those who read one line
  std::vector<gpu_bench::Verdict> verdicts;
  for (const std::size_t rows :
       is_real(backend) ? std::vector<std::size_t>{10000, 30000, 100000, 300000} : std::vector<std::size_t>{300, 600}) {
    last.clear();
    verdicts.clear();
    for (const bool square : {true, false}) {
      RingProblem p;
      p.own_rows = rows;
      p.sides = square ? Sides::both : Sides::own;
      p.columns = 1;
      p.seed = common_seed(communicator);
      const RingTimes t = measure_ring(p, backend, communicator, transport);
      std::array<char, 200> words{};
      std::snprintf(words.data(), words.size(), "%.6f s, model %.6f s, ratio %.2f, hidden %.2f, waited %.6f s", t.both,
                    t.model, t.model > 0 ? t.both / t.model : 0, t.hidden(), t.waited);
      verdicts.push_back(verdict_of(p, backend, t));
      last += detail::concatenate(last.empty() ? "" : "; ", square ? "square " : "one side ", words.data());
      if (communicator.rank() != 0) continue;
      std::printf("%s on %d ranks, N=%zu %s: %s; alone: compute %.6f s (%.3g pairs/s), moving %.6f s (%.0f B a rank)\n",
                  backend.name, communicator.size(), rows, describe(p).c_str(), words.data(), t.compute,
                  t.compute > 0 ? t.pairs / t.compute : 0, t.moving, t.bytes);
      if (json != nullptr) print_json(p, backend, t, communicator.size(), json);
    }
    last.insert(0, detail::concatenate(backend.name, ", N=", rows, ": "));
  }
  if (communicator.rank() != 0) return;
  for (const gpu_bench::Verdict &verdict : verdicts) print_verdict(verdict, json);
  std::printf("%s\n", last.c_str());
}

/// 0 where the loss was told in time.
int lose(const Backend &backend, const Communicator &communicator, std::unique_ptr<Transport> transport, int patience) {
  const bool leaves = communicator.rank() == communicator.size() - 1;
  if (leaves) transport = make_leaving_transport(std::move(transport), 3, leaving_code);
  RingProblem p;
  p.seed = common_seed(communicator);
  p.passes = 1000;
  const auto begin = std::chrono::steady_clock::now();
  std::string told;
  try {
    ring_sums(p, backend, communicator, *transport);
  } catch (const Error &error) {
    told = error.what();
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const bool in_time = taken.count() < 3.0 * patience + 5;
  std::printf("%s, rank %d of %d: %s after %.1f s%s\n", backend.name, communicator.rank(), communicator.size(),
              told.empty() ? "the lost rank was not noticed" : told.c_str(), taken.count(),
              in_time ? "" : ", which is too late");
  return !told.empty() && in_time ? 0 : 1;
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE *)>;

/// Nothing without a name, or on other ranks than the first.
File open_json(const Arguments &arguments) {
  if (arguments.json.empty() || arguments.rank != 0) return {nullptr, std::fclose};
  File file(std::fopen(arguments.json.c_str(), "w"), std::fclose);
  FLASHRING_CHECK(file != nullptr, "-json: ", arguments.json, " cannot be written");
  return file;
}

int run(const Arguments &arguments) {
  const auto communicator =
      make_file_communicator(arguments.folder, arguments.rank, arguments.size, arguments.patience);
  const File json = open_json(arguments);
  const bool copies = arguments.mode == "copies";
  int wrong = 0;
  const std::vector<std::string> names = device_names();
  FLASHRING_CHECK(!names.empty(), "FLASHRING_TEST_NEEDS_GPU is set, and no GPU is usable here");
  for (const std::string &name : names) {
    const bool variant = name.find(':') != std::string::npos;  // moves the same bytes
    if (variant && (copies || arguments.mode == "time")) continue;
    const Backend &backend = backend_named(name);
    if (is_real(backend) && !copies && !has_nccl()) {
      std::printf("not run: this build has no transport nccl\n");
      return 77;
    }
    auto transport = open_transport(backend, *communicator, arguments);
    // Whoever was left behind has no communicator any more: one backend is enough.
    if (arguments.mode == "lost") return lose(backend, *communicator, std::move(transport), arguments.patience);
    if (arguments.mode == "time")
      time(backend, *communicator, *transport, json.get());
    else
      wrong += check(backend, *communicator, *transport, copies);
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace flashring::test

int main(int argc, char **argv) {
  try {
    return flashring::test::run(flashring::test::read_arguments(argc, argv));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 3;
  }
}
