#include "flashring/attention_options.hpp"

#include <algorithm>
#include <array>

#include "base/parse.hpp"
#include "flashring/check.hpp"

namespace flashring {

std::span<const Option> attention_options() {
  static constexpr std::array<Option, 6> declarations{{
      {"op", "softmax", "softmax|diffmax|entmax|sparsemax", "what makes weights of a row of scores"},
      {"alpha", "", "NUMBER,...|FILE",
       "0 < alpha < 1 of diffmax (without: 0.5), 1 < a <= 2 of entmax (1.5): one number, or one for each head"},
      {"scale_family", "tsallis", "tsallis|none|porous", "what diffmax multiplies scores with before the threshold"},
      {"scale", "", "NUMBER", "factor of the scores; without: D^(-1/2)"},
      {"causal", "false", "true|false", "a query sees keys up to its own row, plus the offset"},
      {"causal_offset", "", "whole number", "that offset; must be given where N_q and N_k differ, otherwise 0"},
  }};
  return declarations;
}

void set_option(AttentionOptions &options, std::string_view name, std::string_view value) {
  if (name == "op") {
    options.op = value;
  } else if (name == "alpha") {
    options.alpha = value.empty() ? std::vector<double>() : parse_reals("-alpha", value);
  } else if (name == "scale_family") {
    options.family_scale = value;
  } else if (name == "scale") {
    if (!value.empty()) options.scale = parse_real("-scale", value);
  } else if (name == "causal_offset") {
    if (!value.empty()) options.causal_offset = parse_integer("-causal_offset", value);
  } else if (name == "causal") {
    FLASHRING_CHECK(value == "true" || value == "false", "-causal: '", value, "' is neither true nor false");
    options.causal = value == "true";
  } else if (name == "memory") {
    FLASHRING_CHECK(value == "host" || value == "device", "-memory: '", value, "' is neither host nor device");
    options.memory = value == "device" ? MemorySpace::device : MemorySpace::host;
  } else {
    constexpr std::array<std::string_view, 4> common{"backend", "transport", "route", "threads"};
    FLASHRING_CHECK(std::find(common.begin(), common.end(), name) != common.end(), "option '", name,
                    "' is unknown to attention; known are op, alpha, scale_family, scale, causal, causal_offset, "
                    "memory, backend, transport, route, threads");
    OperatorOptions checked;
    checked.set(name, value);
    if (name == "backend") options.backend = checked.backend;
    if (name == "transport") options.transport = checked.transport;
    if (name == "route") options.route = checked.route == "travel" ? Route::travel : Route::direct;
    if (name == "threads") options.threads = checked.threads;
  }
}

}  // namespace flashring
