// How far the solver is: on a terminal one line that is rewritten after every step, in a log one line a minute.
//
// Errors fall by about the same factor with every pass, so passes left = ln(error / tolerance) / slope, the slope of
// ln(error of the last wanted pair) over the passes of the latest half.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "driver.hpp"

namespace flashring {
namespace {

constexpr double seconds_between_lines = 60;  // of a log

}  // namespace

StatusLine::StatusLine(const Communicator &communicator)
    : active_(communicator.rank() == 0),
      terminal_(active_ && isatty(STDERR_FILENO) != 0),
      start_(seconds_now()),
      last_(start_) {}

StatusLine::~StatusLine() {
  if (terminal_ && width_ > 0) std::fprintf(stderr, "\r%*s\r", static_cast<int>(width_), "");
}

double StatusLine::elapsed() const { return seconds_now() - start_; }

void StatusLine::show(const char *text) {
  const double now = seconds_now();
  if (!active_ || (!terminal_ && now - last_ < seconds_between_lines)) return;
  last_ = now;
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", text);
    return;
  }
  const std::size_t width = std::strlen(text);
  std::fprintf(stderr, "\r%-*s", static_cast<int>(std::max(width, width_)), text);
  width_ = std::max(width, width_);
}

ProgressLine::ProgressLine(const Communicator &communicator, const KernelOperator &op) : op_(op), line_(communicator) {}

double ProgressLine::passes_left(const EigenProgress &progress) {
  if (!(progress.last_error > 0) || !(progress.tolerance > 0)) return NAN;
  history_.push_back({static_cast<double>(op_.counters().passes), std::log(progress.last_error)});
  const std::size_t from = history_.size() / 2;
  const auto count = static_cast<double>(history_.size() - from);
  double passes = 0;
  double error = 0;
  for (std::size_t k = from; k < history_.size(); ++k) {
    passes += history_[k].passes / count;
    error += history_[k].log_error / count;
  }
  double covariance = 0;
  double variance = 0;
  for (std::size_t k = from; k < history_.size(); ++k) {
    covariance += (history_[k].passes - passes) * (history_[k].log_error - error);
    variance += (history_[k].passes - passes) * (history_[k].passes - passes);
  }
  if (!(covariance < 0)) return NAN;  // too early, or no progress
  return std::max(0.0, (history_.back().log_error - std::log(progress.tolerance)) * variance / -covariance);
}

void ProgressLine::show(const EigenProgress &progress) {
  if (!line_.active()) return;
  const double left = passes_left(progress);
  const double elapsed = line_.elapsed();
  const Counters &counters = op_.counters();
  const auto passes = static_cast<double>(counters.passes);
  const double rate = static_cast<double>(op_.rows()) * static_cast<double>(op_.rows()) * passes /
                      std::max(1e-9, counters.ring.seconds);
  std::array<char, 64> rest{"?"};
  if (std::isfinite(left))
    std::snprintf(rest.data(), rest.size(), "%.0f passes, %.0f s", std::ceil(left), left * elapsed / passes);
  std::array<char, 200> line{};
  std::snprintf(line.data(), line.size(),
                "%d of %d pairs converged, error %.1e, %.0f passes, %.2f Gpairs/s, %.0f s; left: about %s",
                progress.converged, progress.wanted, progress.largest_error, passes, rate * 1e-9, elapsed, rest.data());
  line_.show(line.data());
}

}  // namespace flashring
