// The object options: one table that parser, -help, docs/ and provenance read.
#include "flashring/options.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/parse.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

std::string join_assignments(const std::vector<const char *> &names) {
  std::string text;
  for (const char *name : names) text += (text.empty() ? "" : ",") + std::string(name) + "=";
  return text;
}

/// The known pair functions with their parameters, for the help of -pair.
const std::string &pair_help() {
  static const std::string text = [] {
    std::string all = "pair function: ";
    for (std::size_t kind = 0; kind < pair_names().size(); ++kind) {
      const PairTraits &t = traits(static_cast<PairKind>(kind));
      all += (kind == 0 ? "" : ", ") + std::string(t.name) + (t.parameters.empty() ? "" : ":");
      all += join_assignments(t.parameters);
    }
    return all;
  }();
  return text;
}

constexpr const char *beta_help =
    "gaussian's parameter; median: 1/(2 median squared distance); slope: where the kernel sum falls fastest, by one "
    "pass; auto: slope, or median where that has no maximum; for other pairs ell = (2 beta)^(-1/2)";

/// Every backend that is compiled in.
constexpr const char *backend_values =
    "auto|cuda"
#define FLASHRING_BACKEND(name) "|" #name
#include "flashring/backend_list.inc"
#undef FLASHRING_BACKEND
    "[:variant]";

template <class Value>
Value choose(std::string_view option, std::string_view text,
             std::initializer_list<std::pair<std::string_view, Value>> known) {
  std::string names;
  for (const auto &[name, value] : known) {
    if (name == text) return value;
    names += names.empty() ? "" : ", ";
    names += name;
  }
  throw Error(detail::concatenate("-", option, ": '", text, "' is unknown; known are ", names));
}

/// The same of values that are words themselves.
std::string choose_word(std::string_view option, std::string_view text, std::initializer_list<std::string_view> known) {
  if (std::find(known.begin(), known.end(), text) == known.end())
    throw Error(detail::concatenate("-", option, ": '", text, "' is unknown; known are ", join(known)));
  return std::string(text);
}

Normalization get_normalization(std::string_view value) {
  return choose<Normalization>("normalization", value,
                               {{"density", Normalization::density}, {"bistochastic", Normalization::bistochastic}});
}

void set_beta(OperatorOptions &options, std::string_view value) {
  options.median = value == "median" || value == "slope" || value == "auto";
  if (options.median) {
    options.bandwidth = value;
    options.pair.parameters[0] = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  const double beta = parse_real("-beta", value, ", or median, slope or auto");
  FLASHRING_CHECK(std::isfinite(beta) && beta > 0, "-beta: ", value,
                  " is not a positive finite number; beta is in 1/length^2, or say -beta median, slope or auto");
  const PairTraits &t = traits(options.pair.kind);
  FLASHRING_CHECK(options.pair.kind == PairKind::gaussian, "-beta ", value, " belongs to gaussian; with -pair ", t.name,
                  t.parameters.empty() ? std::string(" leave it out")
                                       : detail::concatenate(" write -pair ", t.name, ":", t.parameters[0], "=VALUE"));
  options.pair.parameters[0] = beta;
}

void set_pair(OperatorOptions &options, std::string_view value) {
  options.pair = parse_pair(value);
  options.median = std::isnan(options.pair.parameters[0]);
}

int get_knn(std::string_view value) {
  const std::int64_t number = parse_integer("-knn", value);
  FLASHRING_CHECK(number >= 1 && number < max_columns, "-knn: ", value, " is outside [1, ", max_columns - 1, "]");
  return static_cast<int>(number);
}

void set_alpha(OperatorOptions &options, std::string_view value) {
  const double alpha = parse_real("-alpha", value);
  FLASHRING_CHECK(alpha >= 0 && alpha <= 1, "-alpha: ", value, " is outside [0, 1]");
  options.alpha = alpha;
}

Form get_form(std::string_view value) {
  return choose<Form>("form", value,
                      {{"kernel", Form::kernel}, {"symmetric", Form::symmetric}, {"markov", Form::markov}});
}

Precision get_precision(std::string_view value) {
  return choose<Precision>("precision", value,
                           {{"fp64", Precision::fp64}, {"fp32", Precision::fp32}, {"reduced", Precision::reduced}});
}

std::int64_t not_negative(std::string_view what, std::string_view value) {
  const std::int64_t number = parse_integer(what, value);
  FLASHRING_CHECK(number >= 0, what, ": ", value, " is negative; give 0 or more");
  return number;
}

/// More than any machine has cores: a larger number is a slip, and starting that many threads would take for ever.
constexpr int most_threads = 4096;

int get_threads(std::string_view value) {
  const std::int64_t number = parse_integer("-threads", value);
  FLASHRING_CHECK(number >= 0 && number <= most_threads, "-threads: ", value, " is outside [0, ", most_threads, "]");
  return static_cast<int>(number);
}

/// A day: who waits longer for a peer wants no limit, and a number without bound could not be added to a time.
constexpr int longest_patience = 86400;

std::chrono::seconds get_patience(std::string_view value) {
  const std::int64_t number = parse_integer("-patience", value);
  FLASHRING_CHECK(number >= 1 && number <= longest_patience, "-patience: ", value, " is outside [1, ", longest_patience,
                  "] seconds");
  return std::chrono::seconds(number);
}

double get_memory(std::string_view value) {
  const double bytes = parse_real("-memory", value);
  FLASHRING_CHECK(bytes >= 0 && std::isfinite(bytes), "-memory: ", value, " is no number of bytes, 0 or more");
  return bytes;
}

}  // namespace

std::span<const Option> operator_options() {
  static const std::array<Option, 18> declarations{{
      {"pair", "gaussian", "name[:parameter=value,...]", pair_help().c_str()},
      {"knn", "7", "1 <= k <= 63",
       "the distance to this neighbour is a point's length for self_tuned and variable_bandwidth, and so many "
       "neighbours give its covariance for local_mahalanobis, unless -point_scales or -point_covariances gives them"},
      {"beta", "median", "auto|median|slope or > 0, in 1/length^2", beta_help},
      {"alpha", "0.5", "0 <= alpha <= 1", "density exponent: 0 random walk, 1/2 Fokker-Planck, 1 Laplace-Beltrami"},
      {"normalization", "density", "density|bistochastic",
       "what is divided out: density^alpha, or weights by which all rows sum to 1 already (alpha has no effect then)"},
      {"form", "kernel", "kernel|symmetric|markov", "which matrix the operator is"},
      {"precision", "fp64", "fp64|fp32|reduced",
       "arithmetic of working passes (reduced: the backend's fastest); set-up and residuals are always fp64"},
      {"backend", "auto", backend_values,
       "where tiles run; auto takes the fastest this machine has, cuda the fastest of GPUs, an unknown name lists all"},
      {"transport", "auto", "auto|self|mpi|nccl", "how blocks move between ranks"},
      {"route", "direct", "direct|travel", "how partial sums of visiting rows come home"},
      {"exchange", "auto", "auto|ring|resident",
       "where points of other ranks are: ring passes them on, resident keeps them; auto decides by memory"},
      {"points_memory", "auto", "auto|device|host",
       "where packed points of a GPU's backend are: on the GPU, or on the host, from where they go there in parts; "
       "auto "
       "takes the host where the GPU has too little room"},
      {"threads", "0", "0 <= threads <= 4096",
       "threads per rank; 0: cores in the affinity mask divided by the ranks on this machine"},
      {"share_devices", "false", "true|false",
       "several ranks may use one GPU, for tests; blocks then move through the host"},
      {"patience", "600", "1 <= seconds <= 86400",
       "a message between GPUs that takes longer than so many seconds has a peer that is lost (transport nccl)"},
      {"ramp", "auto", "auto|none|fp32|reduced|scout",
       "lowest precision that blockkrylovschur takes for passes whose error does not reach the result; scout: all "
       "passes of a first approximation are reduced, too; auto: what measured times favour, none where memory is "
       "short"},
      {"memory", "0", ">= 0, in bytes",
       "what the basis of blockkrylovschur may take on a rank where -eps_ncv is not given; 0: half of what is free"},
      {"seed", "1", ">= 0", "key of the counter-based random numbers (start vector, samples)"},
  }};
  return declarations;
}

std::vector<Precision> precisions_of(const OperatorOptions &options) {
  std::vector<Precision> all{options.precision};
  for (const Precision lower : {Precision::fp32, Precision::reduced}) {
    const bool allowed = options.ramp == to_string(lower) || (options.ramp != "none" && options.ramp != "fp32");
    if (lower > options.precision && allowed) all.push_back(lower);
  }
  return all;
}

const char *to_string(Precision precision) {
  if (precision == Precision::fp64) return "fp64";
  return precision == Precision::fp32 ? "fp32" : "reduced";
}

const char *to_string(Form form) {
  if (form == Form::kernel) return "kernel";
  return form == Form::symmetric ? "symmetric" : "markov";
}

const char *to_string(Normalization normalization) {
  return normalization == Normalization::density ? "density" : "bistochastic";
}

void OperatorOptions::set(std::string_view name, std::string_view value) {
  if (name == "pair")
    set_pair(*this, value);
  else if (name == "knn")
    knn = get_knn(value);
  else if (name == "beta")
    set_beta(*this, value);
  else if (name == "alpha")
    set_alpha(*this, value);
  else if (name == "normalization")
    normalization = get_normalization(value);
  else if (name == "form")
    form = get_form(value);
  else if (name == "precision")
    precision = get_precision(value);
  else if (name == "backend")
    backend = value;
  else if (name == "transport")
    transport = value;
  else if (name == "route")
    route = choose_word(name, value, {"direct", "travel"});
  else if (name == "exchange")
    exchange = choose_word(name, value, {"auto", "ring", "resident"});
  else if (name == "points_memory")
    points_memory = choose_word(name, value, {"auto", "device", "host"});
  else if (name == "threads")
    threads = get_threads(value);
  else if (name == "share_devices")
    share_devices = choose<bool>(name, value, {{"true", true}, {"false", false}});
  else if (name == "patience")
    patience = get_patience(value);
  else if (name == "ramp")
    ramp = choose_word(name, value, {"auto", "none", "fp32", "reduced", "scout"});
  else if (name == "memory")
    memory = get_memory(value);
  else if (name == "seed")
    seed = static_cast<std::uint64_t>(not_negative("-seed", value));
  else
    throw Error(detail::concatenate("option '", name, "' is unknown to the operator"));
}

std::string OperatorOptions::get(std::string_view name) const {
  if (name == "pair") return to_string(pair);
  if (name == "knn") return std::to_string(knn);
  if (name == "beta") return median ? bandwidth : detail::concatenate(pair.parameters[0]);
  if (name == "alpha") return detail::concatenate(alpha);
  if (name == "normalization") return to_string(normalization);
  if (name == "form") return to_string(form);
  if (name == "precision") return to_string(precision);
  if (name == "backend") return backend;
  if (name == "transport") return transport;
  if (name == "route") return route;
  if (name == "exchange") return exchange;
  if (name == "points_memory") return points_memory;
  if (name == "threads") return std::to_string(threads);
  if (name == "share_devices") return share_devices ? "true" : "false";
  if (name == "patience") return std::to_string(patience.count());
  if (name == "ramp") return ramp;
  if (name == "memory") return detail::concatenate(memory);
  if (name == "seed") return std::to_string(seed);
  throw Error(detail::concatenate("option '", name, "' is unknown to the operator"));
}

}  // namespace flashring
