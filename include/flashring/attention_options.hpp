// The options of attention as text: declared once for the driver and the C interface.
#pragma once

#include <span>
#include <string_view>

#include "flashring/attention.hpp"
#include "flashring/options.hpp"
#include "flashring/threshold_rows.hpp"

namespace flashring {

/// Declarations: op, alpha, complements, scale_family, ensure_sum_one, scale, causal, causal_offset.
std::span<const Option> attention_options();

/// Reads one value of these (alpha: numbers), of gradient and memory (true, false; host, device: of programs that call
/// the library), of backend, transport, route or threads (which every operator has); empty: the default. Throws Error
/// that names the option, the value and what is allowed.
void set_option(AttentionOptions &options, std::string_view name, std::string_view value);

/// The same of rows of scores: op, complements, scale_family, ensure_sum_one, monitor, memory, backend, threads.
void set_option(ThresholdRowsOptions &options, std::string_view name, std::string_view value);

}  // namespace flashring
