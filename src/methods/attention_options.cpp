#include "flashring/attention_options.hpp"

#include <array>

#include "base/parse.hpp"
#include "flashring/check.hpp"

namespace flashring {
namespace {

bool parse_flag(std::string_view name, std::string_view value) {
  FLASHRING_CHECK(value == "true" || value == "false", "-", name, ": '", value, "' is neither true nor false");
  return value == "true";
}

/// Those of attention and of rows of scores alike. Returns whether `name` is one.
template <class Options>
bool set_common(Options &options, std::string_view name, std::string_view value) {
  if (name == "op") {
    options.op = value;
  } else if (name == "complements") {
    options.complements = parse_flag(name, value);
  } else if (name == "scale_family") {
    options.family_scale = value;
  } else if (name == "ensure_sum_one") {
    options.ensure_sum_one = parse_flag(name, value);
  } else if (name == "memory") {
    FLASHRING_CHECK(value == "host" || value == "device", "-memory: '", value, "' is neither host nor device");
    options.memory = value == "device" ? MemorySpace::device : MemorySpace::host;
  } else if (name == "backend" || name == "threads") {
    OperatorOptions checked;
    checked.set(name, value);
    if (name == "backend") options.backend = checked.backend;
    if (name == "threads") options.threads = checked.threads;
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::span<const Option> attention_options() {
  static constexpr std::array<Option, 8> declarations{{
      {"op", "softmax", "softmax|diffmax|entmax|sparsemax", "what makes weights of a row of scores"},
      {"alpha", "", "NUMBER,...|FILE",
       "0 < alpha < 1 of diffmax (without: 0.5), 1 < a <= 2 of entmax (1.5): one number, or one for each head (with "
       "-scores: or row)"},
      {"complements", "false", "true|false",
       "the numbers of -alpha are 1 - alpha, of entmax a - 1, which keep their digits near softmax; 0 is softmax"},
      {"scale_family", "tsallis", "tsallis|none|porous", "what diffmax multiplies scores with before the threshold"},
      {"ensure_sum_one", "true", "true|false", "not of softmax: weights are divided by their sum, 1 but for rounding"},
      {"scale", "", "NUMBER", "factor of the scores; without: D^(-1/2)"},
      {"causal", "false", "true|false", "a query sees keys up to its own row, plus the offset"},
      {"causal_offset", "", "whole number", "that offset; must be given where N_q and N_k differ, otherwise 0"},
  }};
  return declarations;
}

void set_option(AttentionOptions &options, std::string_view name, std::string_view value) {
  if (set_common(options, name, value)) return;
  if (name == "alpha") {
    options.alpha = value.empty() ? std::vector<double>() : parse_reals("-alpha", value);
  } else if (name == "scale") {
    if (!value.empty()) options.scale = parse_real("-scale", value);
  } else if (name == "causal_offset") {
    if (!value.empty()) options.causal_offset = parse_integer("-causal_offset", value);
  } else if (name == "causal") {
    options.causal = parse_flag(name, value);
  } else if (name == "gradient") {
    options.gradient = parse_flag(name, value);
  } else {
    FLASHRING_CHECK(name == "transport" || name == "route", "option '", name,
                    "' is unknown to attention; known are op, alpha, complements, scale_family, ensure_sum_one, scale, "
                    "causal, causal_offset, gradient, memory, backend, transport, route, threads");
    OperatorOptions checked;
    checked.set(name, value);
    if (name == "transport") options.transport = checked.transport;
    if (name == "route") options.route = checked.route == "travel" ? Route::travel : Route::direct;
  }
}

void set_option(ThresholdRowsOptions &options, std::string_view name, std::string_view value) {
  if (set_common(options, name, value)) return;
  FLASHRING_CHECK(name == "monitor", "option '", name,
                  "' is unknown to rows of scores; known are op, complements, scale_family, ensure_sum_one, monitor, "
                  "memory, backend, threads");
  options.monitor = parse_flag(name, value);
}

}  // namespace flashring
