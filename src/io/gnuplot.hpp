// Gnuplot: run a script, and spell texts so that they stay texts.
#pragma once

#include <string>
#include <string_view>

namespace flashring {

/// A single-quoted gnuplot string: nothing inside is executed or substituted. Control characters become spaces.
std::string gnuplot_quote(std::string_view text);

/// Number of a data block: short, and never a locale's comma; NaN for values that are not finite.
std::string gnuplot_number(double value);

/// Runs `script` and expects it to write `picture`. Returns an empty text, or the reason why there is no picture; then
/// `picture` does not exist. The script lies beside the picture while it runs.
std::string run_gnuplot(const std::string &script, const std::string &picture);

}  // namespace flashring
