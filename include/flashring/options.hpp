// Options, each declared once: the declaration feeds the parser, -help, the table in docs/ and the provenance line.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashring/pair.hpp"
#include "flashring/types.hpp"

namespace flashring {

/// One option. Object options are read as -[prefix]mat_flashring_NAME by the matrix type and as -NAME by drivers.
struct Option {
  const char *name;
  const char *fallback;  ///< default as the user would type it
  const char *values;    ///< range or choices, with unit
  const char *help;
};

/// Which matrix the operator is.
enum class Form : std::uint8_t {
  kernel,     ///< K
  symmetric,  ///< M = diag(r) K diag(r)
  markov,     ///< P = diag(w/d) K diag(w); never symmetric
};

/// What the weight w takes out of the kernel.
enum class Normalization : std::uint8_t {
  density,       ///< w = D^-alpha; with a target density mu, w = D^-1 mu^(1/2)
  bistochastic,  ///< w with w o K(w o m) = 1: P = diag(w) K diag(w o m), its law is m
};

/// Settings of a KernelOperator, filled from strings by `set`.
struct OperatorOptions {
  PairFunction pair{PairKind::gaussian, {std::numeric_limits<double>::quiet_NaN()}};
  int knn = 7;                       ///< neighbour whose distance is a point's length where none are given (self_tuned)
  bool median = true;                ///< take the length scale from the points
  std::string bandwidth = "median";  ///< how: median, slope or auto
  double alpha = 0.5;                ///< 0 <= alpha <= 1
  Normalization normalization = Normalization::density;
  Form form = Form::kernel;
  Precision precision = Precision::fp64;
  std::string backend = "auto";
  std::string transport = "auto";
  std::string route = "direct";
  std::string exchange = "auto";
  std::string points_memory = "auto";
  int threads = 0;                     ///< 0: cores in the affinity mask divided by the ranks on this node
  bool share_devices = false;          ///< several ranks may use one GPU
  std::chrono::seconds patience{600};  ///< see TransportOptions
  std::string ramp = "auto";           ///< precisions of passes that a solver may choose
  double memory = 0;                   ///< bytes of a rank for a solver's basis; 0: half of what is free
  std::uint64_t seed = 1;

  /// Reads one value. Throws Error that names the option, the value and what is allowed.
  void set(std::string_view name, std::string_view value);
  std::string get(std::string_view name) const;
};

/// Declarations of the object options: pair, knn, beta, alpha, normalization, form, precision, backend,
/// transport, route, exchange, points_memory, threads, share_devices, patience, ramp, memory, seed.
std::span<const Option> operator_options();

/// Precisions that passes may be in: the working one, and lower ones down to what the ramp allows.
std::vector<Precision> precisions_of(const OperatorOptions &options);

const char *to_string(Precision precision);
const char *to_string(Form form);
const char *to_string(Normalization normalization);

/// Reads a whole number or a real number. Throws Error naming `what`, the text, the range and the `words` that may
/// stand instead.
double parse_real(std::string_view what, std::string_view text, std::string_view words = "");
std::int64_t parse_integer(std::string_view what, std::string_view text);

}  // namespace flashring
