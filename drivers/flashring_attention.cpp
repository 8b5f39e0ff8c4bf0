// flashring-attention: attention by softmax or a threshold, forward and backward, tokens spread over ranks.
//
// Equation: O = P V, P = softmax(scale Q K^T + mask) row by row, or diffmax, entmax, sparsemax in its place.
//
//   mpirun -n 2 flashring-attention -q q.npy -k k.npy -v v.npy -causal -output out
//   flashring-attention -generate normal:h=4,n=4096,d=64 -backward -repeats 5
//   flashring-attention -scores x.npy -op entmax -alpha 1.5 -output weights       P of scores that are given
//
// Expected time: 2 B H N^2 (D + D_v) operations forward, 2.5 times as many backward; no array of N x N. A threshold
// takes some passes more forward: docs/mathematics.md, "Threshold families".
#include <algorithm>
#include <array>

#include "attention_run.hpp"
#include "flashring/attention_options.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

constexpr std::array<Option, 18> own_options{{
    {"q", "", "FILE.npy|FILE.h5[:/dataset]", "queries, shape (B, H_q, N_q, D), (H_q, N_q, D) or (N_q, D)"},
    {"k", "", "FILE", "keys, shape (B, H_kv, N_k, D); H_q is a multiple of H_kv"},
    {"v", "", "FILE", "values, shape (B, H_kv, N_k, D_v)"},
    {"bf16", "false", "true|false", "16-bit integers in these files are the bits of bfloat16"},
    {"generate", "", "normal:b=,h=,h_kv=,n=,n_k=,d=,d_v=,seed=,storage=",
     "instead of files: standard normal numbers, the same for any number of ranks"},
    {"key_padding", "", "FILE", "1 for a real token, 0 for padding, shape (B, N_k)"},
    {"lengths", "", "FILE|NUMBER,...", "instead: real tokens of each of the B sequences, which come first"},
    {"backward", "false", "true|false",
     "dq.npy, dk.npy, dv.npy (with -scores: dx.npy) and dalpha.npy as well; with files it needs -do"},
    {"do", "", "FILE",
     "gradient of a loss with respect to the output, shape (B, H_q, N_q, D_v), with -scores that of the scores"},
    {"scores", "", "FILE",
     "instead of -q, -k, -v: rows of scores of any shape, -infinity masks; o.npy holds the weights"},
    {"dim", "-1", "whole number",
     "with -scores: axis along which a row of scores lies, counted from the end where it is negative"},
    {"monitor", "", "FILE",
     "a line of JSON for each call: iterations, tiles, gradient norms; with -scores support, zeros, entropy"},
    {"split", "auto", "auto|tokens|sequences",
     "what is spread over ranks: tokens, or whole sequences of batch or heads, which auto takes where tokens are few"},
    {"repeats", "1", ">= 1", "runs, whose median time is reported"},
    {"output", "output", "FOLDER", "o.npy, report.json, gradients"},
    {"overwrite", "false", "true|false", "replace another run in the output folder"},
    {"dry_run", "false", "true|false", "say what the run takes of memory and time, compute and write nothing"},
    {"version", "", "", "print version and build, and stop"},
}};

/// There is no kernel matrix; storage decides the precision.
constexpr std::array<std::string_view, 13> without_effect{
    "form", "pair",          "beta", "alpha",     "exchange",      "ramp",    "memory",
    "seed", "normalization", "knn",  "precision", "points_memory", "patience"};

/// Own options, and those of every Attention.
const std::vector<Option> &all_options() {
  static const std::vector<Option> all = [] {
    std::vector<Option> joined(own_options.begin(), own_options.end());
    joined.insert(joined.begin() + 7, attention_options().begin(), attention_options().end());
    return joined;
  }();
  return all;
}

const DriverText &text() {
  static const DriverText made = {"flashring-attention",
                                  "attention over tokens that are spread over ranks, forward and backward",
                                  "mpirun -n 2 flashring-attention -q q.npy -k k.npy -v v.npy -causal -output out",
                                  all_options(),
                                  false,
                                  without_effect};
  return made;
}

AttentionSettings get_settings(const Communicator &communicator, DriverOptions &options) {
  AttentionSettings settings;
  InputOptions unused;
  communicator.agree([&] {
    options.read(unused, settings.op);
    options.refuse_unused(true);
    settings.files = {options.value("q"),       options.value("k"),        options.value("v"),
                      options.value("do"),      options.value("generate"), options.value("key_padding"),
                      options.value("lengths"), options.flag("bf16"),      options.flag("backward")};
    for (const Option &option : attention_options())
      if (option.name != std::string_view("alpha"))  // which may be a file, of as many numbers as there are heads
        set_option(settings.attention, option.name, options.value(option.name));
    for (const char *name : {"op", "complements", "scale_family", "ensure_sum_one"})
      set_option(settings.rows, name, options.value(name));
    settings.attention.gradient = settings.files.backward;
    for (const char *name : {"backend", "transport", "route", "threads"})
      set_option(settings.attention, name, settings.op.get(name));
    settings.rows.threads = settings.op.threads;
    settings.rows.backend = settings.op.backend;
    settings.scores = options.value("scores");
    settings.alpha = options.value("alpha");
    const bool has_alpha = has_parameter(settings.rows.op);
    FLASHRING_CHECK(has_alpha || settings.alpha.empty(), "-alpha has no effect with -op ", settings.rows.op,
                    "; leave it out");
    FLASHRING_CHECK(settings.rows.op == "diffmax" || !options.given("scale_family"),
                    "-scale_family has no effect with -op ", settings.rows.op, "; leave it out");
    FLASHRING_CHECK(!settings.alpha.empty() || !settings.rows.complements,
                    "-complements says what the numbers of -alpha are; give -alpha, too");
    FLASHRING_CHECK(settings.rows.op != "softmax" || !options.given("ensure_sum_one"),
                    "-ensure_sum_one has no effect with -op softmax; leave it out");
    settings.monitor = options.value("monitor");
    settings.split = options.value("split");
    settings.dim = static_cast<int>(std::clamp<std::int64_t>(parse_integer("-dim", options.value("dim")), -99, 99));
    settings.repeats = parse_integer("-repeats", options.value("repeats"));
    FLASHRING_CHECK(settings.repeats >= 1, "-repeats: ", settings.repeats, " is not positive; give 1 or more");
  });
  choose_device(communicator, settings.op);
  return settings;
}

/// Options of one of the two runs do nothing in the other.
void refuse_others(const DriverOptions &options, bool scores) {
  constexpr std::array<const char *, 12> of_heads{"split",       "q",       "k",     "v",      "generate",
                                                  "key_padding", "lengths", "scale", "causal", "causal_offset",
                                                  "transport",   "route"};
  constexpr std::array<const char *, 1> of_scores{"dim"};
  for (const char *name : scores ? std::span<const char *const>(of_heads) : std::span<const char *const>(of_scores))
    FLASHRING_CHECK(!options.given(name), "-", name, " has no effect ", scores ? "with" : "without",
                    " -scores; leave it out", scores ? ", scores of -infinity are masked" : "");
}

int run(const Communicator &communicator, DriverOptions &options) {
  const AttentionSettings settings = get_settings(communicator, options);
  communicator.agree([&] { refuse_others(options, !settings.scores.empty()); });
  return settings.scores.empty() ? run_attention(communicator, options, settings)
                                 : run_scores(communicator, options, settings);
}

}  // namespace
}  // namespace flashring

int main(int argc, char **argv) { return flashring::run_driver(argc, argv, flashring::text(), flashring::run); }
