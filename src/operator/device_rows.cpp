#include "operator/device_rows.hpp"

#include <algorithm>

#include "flashring/check.hpp"

namespace flashring {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::byte *copied(const Device &memory, AlignedBuffer &to, const void *from, std::size_t bytes) {
  to.resize(bytes);
  memory.upload(to.data(), static_cast<const std::byte *>(from), bytes);
  return to.data();
}

}  // namespace

DeviceRows::DeviceRows(const ThresholdDevice &device, const Communicator *group, const RowsShape &shape,
                       const std::vector<ThresholdFamily> &families, const ThresholdRowsOptions &options)
    : device_(device),
      group_(group),
      shape_(shape),
      families_(families),
      options_(options),
      x_copy_(device.memory),
      g_copy_(device.memory),
      families_there_(device.memory),
      marks_there_(device.memory),
      sums_(device.memory),
      outcomes_(device.memory),
      scratch_(device.memory) {
  copied(*device_.memory, families_there_, families_.data(), families_.size() * sizeof(ThresholdFamily));
  wait_for(device_.memory);
}

const ThresholdFamily &DeviceRows::family_of(std::size_t row) const {
  return families_[row / static_cast<std::size_t>(options_.rows_per_group) % families_.size()];
}

/// The arrays of the next steps.
void DeviceRows::take(const void *x, const void *g, Storage storage, void *out) {
  storage_ = storage;
  x_ = x;
  g_ = g;
  out_ = out;
  bytes_copied_ = 0;
  if (options_.memory == MemorySpace::device) return;
  const std::size_t bytes = rows() * static_cast<std::size_t>(shape_.n) * storage_bytes(storage);
  agree([&] {
    x_ = copied(*device_.memory, x_copy_, x, bytes);
    if (g != nullptr) g_ = copied(*device_.memory, g_copy_, g, bytes);
  });
  bytes_copied_ = static_cast<double>(bytes) * (g == nullptr ? 1 : 2);
}

/// What the last step wrote is where the caller wants it.
void DeviceRows::give() {
  if (options_.memory == MemorySpace::device) return;
  device_.memory->download(static_cast<std::byte *>(out_), x_copy_.data(), x_copy_.size());
  wait_for(device_.memory);
  bytes_copied_ += static_cast<double>(x_copy_.size());
}

bool DeviceRows::takes_whole(ThresholdStep step) const {
  return group_ == nullptr && device_.is_whole(step, storage_, shape_.n);
}

ThresholdCall DeviceRows::call(ThresholdStep step) {
  sums_.resize(rows() * sizeof(ThresholdSums));
  scratch_.resize(static_cast<std::size_t>(device_.scratch_numbers(shape_.rows(), shape_.n)) * sizeof(double));
  ThresholdCall made{};
  made.step = step;
  made.storage = storage_;
  made.rows = shape_.rows();
  made.n = shape_.n;
  made.inner = shape_.inner;
  made.families = reinterpret_cast<const ThresholdFamily *>(families_there_.data());
  made.groups = static_cast<std::int64_t>(families_.size());
  made.rows_per_group = options_.rows_per_group;
  made.x = x_;
  made.g = g_;
  made.out = options_.memory == MemorySpace::device ? out_ : x_copy_.data();
  made.marks = reinterpret_cast<ThresholdMark *>(marks_there_.data());
  made.sums = reinterpret_cast<double *>(sums_.data());
  made.outcomes = reinterpret_cast<RowOutcome *>(outcomes_.data());
  made.scratch = reinterpret_cast<double *>(scratch_.data());
  made.sum_one = options_.ensure_sum_one;
  made.monitor = options_.monitor;
  made.parameter = has_parameter(options_.op);
  return made;
}

/// Any step but forward, at marks_: (rows, 2).
std::vector<double> DeviceRows::run(ThresholdStep step) {
  std::vector<double> sums(2 * rows());
  for (std::size_t r = 0; r < rows(); ++r) sums[2 * r] = step == ThresholdStep::largest ? -infinity : 0;
  agree([&] {
    if (sums.empty() || shape_.n == 0) return;
    copied(*device_.memory, marks_there_, marks_.data(), rows() * sizeof(ThresholdMark));
    device_.run(call(step));
    device_.memory->download(reinterpret_cast<std::byte *>(sums.data()), sums_.data(), sums_.size());
    wait_for(device_.memory);
  });
  return sums;
}

void DeviceRows::forward_whole(std::vector<RowOutcome> &outcomes) {
  if (rows() == 0 || shape_.n == 0) return;
  marks_there_.resize(rows() * sizeof(ThresholdMark));
  outcomes_.resize(rows() * sizeof(RowOutcome));
  device_.run(call(ThresholdStep::forward));
  device_.memory->download(reinterpret_cast<std::byte *>(marks_.data()), marks_there_.data(), marks_there_.size());
  device_.memory->download(reinterpret_cast<std::byte *>(outcomes.data()), outcomes_.data(), outcomes_.size());
  wait_for(device_.memory);
}

/// Newton on all rows together.
std::vector<ThresholdSearch> DeviceRows::search(const std::vector<double> &maxima) {
  constexpr double fp32_rounding = 4 * static_cast<double>(std::numeric_limits<float>::epsilon());
  const double rounding = storage_ == Storage::fp64 ? 4 * std::numeric_limits<double>::epsilon() : fp32_rounding;
  std::vector<ThresholdSearch> searches(rows());
  for (std::size_t r = 0; r < rows(); ++r) searches[r].done = maxima[r] == -infinity;
  const auto is_done = [](const ThresholdSearch &search) { return search.done; };
  while (!std::all_of(searches.begin(), searches.end(), is_done)) {
    for (std::size_t r = 0; r < rows(); ++r) marks_[r] = {searches[r].done ? -infinity : maxima[r], searches[r].t, 1};
    std::vector<double> sums = run(ThresholdStep::sums);
    if (group_ != nullptr) group_->sum(std::span<double>(sums));
    for (std::size_t r = 0; r < rows(); ++r)
      if (!searches[r].done) searches[r].take({sums[2 * r], sums[2 * r + 1]}, family_of(r), rounding);
  }
  return searches;
}

void DeviceRows::forward_in_steps(std::vector<RowOutcome> &outcomes,
                                  const std::function<void(const std::vector<double> &maxima)> &check) {
  const std::vector<double> largest = run(ThresholdStep::largest);
  std::vector<double> maxima(rows());
  for (std::size_t r = 0; r < rows(); ++r) maxima[r] = largest[2 * r];
  if (group_ != nullptr) group_->max(std::span<double>(maxima));
  check(maxima);
  const std::vector<ThresholdSearch> searches = search(maxima);
  for (std::size_t r = 0; r < rows(); ++r)
    marks_[r] = {maxima[r], searches[r].t, options_.ensure_sum_one ? 1 / searches[r].sum : 1};
  const std::vector<double> seen = run(ThresholdStep::weights);
  for (std::size_t r = 0; r < rows(); ++r)
    outcomes[r] = {searches[r].sum,
                   searches[r].step,
                   searches[r].iterations,
                   static_cast<std::int64_t>(largest[2 * r + 1]),
                   static_cast<std::int64_t>(seen[2 * r]),
                   seen[2 * r + 1],
                   0};
}

ThresholdSaved DeviceRows::forward(const void *x, Storage storage, void *p, std::vector<RowOutcome> &outcomes,
                                   const std::function<void(const std::vector<double> &maxima)> &check) {
  take(x, nullptr, storage, p);
  marks_.assign(rows(), {-infinity, 0, 1});
  outcomes.assign(rows(), {});
  const bool whole = takes_whole(ThresholdStep::forward);
  if (whole)
    forward_whole(outcomes);
  else
    forward_in_steps(outcomes, check);
  ThresholdSaved saved{std::vector<double>(rows()), std::vector<double>(rows())};
  for (std::size_t r = 0; r < rows(); ++r) {
    saved.row_maximum[r] = marks_[r].maximum;
    saved.t[r] = marks_[r].t;
  }
  if (whole) check(saved.row_maximum);
  give();
  return saved;
}

std::vector<double> DeviceRows::backward(const void *x, const ThresholdSaved &saved, const void *g, Storage storage,
                                         void *dx, std::vector<RowOutcome> &outcomes) {
  take(x, g, storage, dx);
  marks_.resize(rows());
  for (std::size_t r = 0; r < rows(); ++r) marks_[r] = {saved.row_maximum[r], saved.t[r], 0};
  const bool whole = takes_whole(ThresholdStep::backward);
  if (!whole) {
    std::vector<double> sums = run(ThresholdStep::gradient_sums);
    if (group_ != nullptr) group_->sum(std::span<double>(sums));
    for (std::size_t r = 0; r < rows(); ++r) marks_[r].number = sums[2 * r + 1] / sums[2 * r];
  }
  const std::vector<double> sums = run(whole ? ThresholdStep::backward : ThresholdStep::gradient);
  give();
  outcomes.resize(rows());
  std::vector<double> gradient(has_parameter(options_.op) ? families_.size() : 0);
  for (std::size_t r = 0; r < rows(); ++r) {
    outcomes[r].gradient_square = sums[2 * r + 1];
    const ThresholdFamily &family = family_of(r);
    if (!gradient.empty()) gradient[static_cast<std::size_t>(&family - families_.data())] += family.sign * sums[2 * r];
  }
  if (group_ != nullptr) group_->sum(std::span<double>(gradient));
  return gradient;
}

}  // namespace flashring
