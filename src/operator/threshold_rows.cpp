// Threshold families on rows of given scores.
//
// Formula   flashring/threshold_rows.hpp.
// Steps     A whole row, by one thread: its largest score; the scores that may have a weight, kept apart; Newton on
//           their sums (ThresholdSearch); p. A row stays in a cache meanwhile, so that x is read and p written once.
//           A row split over ranks: the same steps over all rows, with an all-reduce of maxima and one of (S0, S1) for
//           each iteration; scores are selected anew for each. On a device: device_rows.hpp.
//           Backward: sum u and sum u g; dx, and sum r (g - mean) for the parameter.
// Cost      per entry and thread: see kernels/simd/threshold.cpp.
// Reference Peters, Niculae, Martins, Sparse sequence-to-sequence models, ACL 2019, for the gradient.
#include "flashring/threshold_rows.hpp"

#include <optional>

#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "operator/device_rows.hpp"
#include "operator/threshold_rows.hpp"

namespace flashring {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<ThresholdFamily> families_of(const ThresholdRowsOptions &options) {
  if (!has_parameter(options.op)) return {threshold_family(options.op, 0)};
  return threshold_families(options.op, options.parameters, options.complements, options.family_scale, "group of rows");
}

void check_shape(const RowsShape &shape, const ThresholdRowsOptions &options) {
  FLASHRING_CHECK(shape.outer >= 0 && shape.n >= 0 && shape.inner >= 1, "rows of shape (", shape.outer, ", ", shape.n,
                  ", ", shape.inner, "): give outer >= 0, n >= 0 and inner >= 1");
  if (!has_parameter(options.op)) return;
  const auto groups = static_cast<std::int64_t>(options.parameters.size());
  FLASHRING_CHECK(groups >= 1 && options.rows_per_group >= 1, groups, " parameters of ", options.op, " for groups of ",
                  options.rows_per_group, " rows; give at least one of each");
  FLASHRING_CHECK(groups == 1 || shape.rows() % (groups * options.rows_per_group) == 0, groups, " parameters of ",
                  options.op, " for groups of ", options.rows_per_group, " rows do not fit ", shape.rows(), " rows");
}

template <class T>
const ThresholdKernels<T> &kernels_of(const ThresholdBackend &backend) {
  if constexpr (sizeof(T) == sizeof(float))
    return backend.fp32;
  else
    return backend.fp64;
}

/// What sums of weights of a row are good to.
template <class T>
constexpr double rounding_of = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());

/// Support and entropy of a row's p, where x is not -infinity.
template <class T>
void observe(const RowInHand<T> &row, RowOutcome &outcome) {
  for (std::int64_t i = 0; i < row.n; ++i) {
    const auto p = static_cast<double>(row.out[i]);
    if (!(p > 0)) continue;
    ++outcome.support;
    outcome.entropy -= p * std::log(p);
  }
}

}  // namespace

struct ThresholdRows::State {
  State(const Communicator *communicator, RowsShape of_rows, ThresholdRowsOptions asked)
      : group(communicator), shape(of_rows), options(std::move(asked)) {
    const auto set_up = [&] {
      families = families_of(options);
      check_shape(shape, options);
      backend = options.kernels != nullptr ? options.kernels : &find_threshold_backend(options.backend, options.memory);
      if (backend->device != nullptr) on_device.emplace(*backend->device, group, shape, families, options);
    };
    agree(set_up);
    threads = choose_threads(options.threads, group == nullptr ? *make_self_communicator() : *group);
  }

  /// What fails on one rank fails on all of those over which rows are split.
  void agree(const std::function<void()> &work) const { group == nullptr ? work() : group->agree(work); }
  /// Memory of a call, all of it: nothing is allocated after this.
  template <class T>
  void reserve() {
    buffers.resize(static_cast<std::size_t>(threads));
    for (AlignedBuffer &buffer : buffers) buffer.resize(3 * room_of_row(shape) * sizeof(T));
    outcomes.resize(rows());
    if (group != nullptr) sums.resize(2 * rows());
  }

  std::size_t parameter_of(std::int64_t row) const {
    return static_cast<std::size_t>(row / options.rows_per_group) % families.size();
  }
  const ThresholdFamily &family_of(std::int64_t row) const { return families[parameter_of(row)]; }
  std::size_t rows() const { return static_cast<std::size_t>(shape.rows()); }

  void check_maxima(const std::vector<double> &maxima) const;
  template <class T>
  void finish_row(const RowInHand<T> &row, double maximum, const ThresholdSearch &search);
  template <class T>
  ThresholdSaved forward_whole(const void *x, Storage storage, void *p);
  template <class T>
  void find_maxima(const void *x, Storage storage, std::vector<double> &maxima);
  template <class T>
  ThresholdSaved forward_split(const void *x, Storage storage, void *p);
  template <class T>
  void gradient_sums(const void *x, const ThresholdSaved &saved, const void *g, Storage storage);
  template <class T>
  std::vector<double> backward(const void *x, const ThresholdSaved &saved, const void *g, Storage storage, void *dx);

  void collect(const ThresholdSaved &saved) {
    metrics = collect_metrics(outcomes, saved.row_maximum,
                              threshold_parameters(options.op, options.parameters, options.complements),
                              options.monitor, group);
  }

  const Communicator *group;  // ranks over which rows are split; null: none
  RowsShape shape;
  ThresholdRowsOptions options;
  std::vector<ThresholdFamily> families;
  const ThresholdBackend *backend = nullptr;
  std::optional<DeviceRows> on_device;  // where the backend's is one
  int threads = 1;
  std::vector<RowOutcome> outcomes;    // (rows)
  std::vector<AlignedBuffer> buffers;  // (threads)
  std::vector<double> sums;            // (rows, 2) of rows that are split
  ThresholdMetrics metrics;
};

/// Every rank has the same maxima.
void ThresholdRows::State::check_maxima(const std::vector<double> &maxima) const {
  const auto bad = std::find(maxima.begin(), maxima.end(), infinity) - maxima.begin();
  const auto check = [&] {
    FLASHRING_CHECK(bad == static_cast<std::ptrdiff_t>(rows()), "row ", bad, " of the scores (outer ",
                    bad / shape.inner, ", inner ", bad % shape.inner,
                    ") holds NaN or +infinity; finite scores and -infinity (masked) are allowed");
  };
  agree(check);
}

/// p of a row, and what metrics want to know of it.
template <class T>
void ThresholdRows::State::finish_row(const RowInHand<T> &row, double maximum, const ThresholdSearch &search) {
  RowOutcome &outcome = outcomes[static_cast<std::size_t>(row.number)];
  outcome.sum = search.sum;
  outcome.step = search.step;
  outcome.iterations = search.iterations;
  if (options.monitor)  // before p takes the place of x
    outcome.finite = std::count_if(row.x, row.x + row.n, [](T x) { return x > -infinity; });
  kernels_of<T>(*backend).weights({row.x, row.n, maximum, search.t}, family_of(row.number),
                                  options.ensure_sum_one ? 1 / search.sum : 1, row.out);
  if (options.monitor) observe(row, outcome);
}

template <class T>
ThresholdSaved ThresholdRows::State::forward_whole(const void *x, Storage storage, void *p) {
  const ThresholdKernels<T> &kernels = kernels_of<T>(*backend);
  reserve<T>();
  ThresholdSaved saved{std::vector<double>(rows()), std::vector<double>(rows())};
  for_each_row<T>(shape, storage, x, nullptr, p, buffers, [&](const RowInHand<T> &row) {
    const auto r = static_cast<std::size_t>(row.number);
    const double maximum = saved.row_maximum[r] = kernels.largest(row.x, row.n);
    if (maximum == infinity) return;
    if (maximum == -infinity) {
      std::fill_n(row.out, row.n, T(0));
      return;
    }
    const ThresholdFamily &family = family_of(row.number);
    const std::int64_t count = kernels.select({row.x, row.n, maximum, 0}, family, row.z);
    ThresholdSearch search;
    while (!search.done) search.take(kernels.sums(row.z, count, search.t, family), family, rounding_of<T>);
    saved.t[r] = search.t;
    finish_row(row, maximum, search);
  });
  check_maxima(saved.row_maximum);
  return saved;
}

template <class T>
void ThresholdRows::State::find_maxima(const void *x, Storage storage, std::vector<double> &maxima) {
  for_each_row<T>(shape, storage, x, nullptr, nullptr, buffers, [&](const RowInHand<T> &row) {
    maxima[static_cast<std::size_t>(row.number)] = kernels_of<T>(*backend).largest(row.x, row.n);
  });
  group->max(std::span<double>(maxima));
  check_maxima(maxima);
}

template <class T>
ThresholdSaved ThresholdRows::State::forward_split(const void *x, Storage storage, void *p) {
  const ThresholdKernels<T> &kernels = kernels_of<T>(*backend);
  ThresholdSaved saved;
  std::vector<ThresholdSearch> searches;
  agree([&] {
    reserve<T>();
    saved = {std::vector<double>(rows()), std::vector<double>(rows())};
    searches.resize(rows());
  });
  find_maxima<T>(x, storage, saved.row_maximum);
  for (std::size_t r = 0; r < rows(); ++r) searches[r].done = saved.row_maximum[r] == -infinity;
  const auto is_done = [](const ThresholdSearch &search) { return search.done; };
  while (!std::all_of(searches.begin(), searches.end(), is_done)) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for_each_row<T>(shape, storage, x, nullptr, nullptr, buffers, [&](const RowInHand<T> &row) {
      const auto r = static_cast<std::size_t>(row.number);
      if (searches[r].done) return;
      const ThresholdFamily &family = family_of(row.number);
      const std::int64_t count = kernels.select({row.x, row.n, saved.row_maximum[r], 0}, family, row.z);
      const ThresholdSums mine = kernels.sums(row.z, count, searches[r].t, family);
      sums[2 * r] = mine.first;
      sums[2 * r + 1] = mine.second;
    });
    group->sum(std::span<double>(sums));
    for (std::size_t r = 0; r < rows(); ++r)
      if (!searches[r].done)
        searches[r].take({sums[2 * r], sums[2 * r + 1]}, family_of(static_cast<std::int64_t>(r)), rounding_of<T>);
  }
  for_each_row<T>(shape, storage, x, nullptr, p, buffers, [&](const RowInHand<T> &row) {
    const auto r = static_cast<std::size_t>(row.number);
    saved.t[r] = searches[r].t;
    if (saved.row_maximum[r] == -infinity)
      std::fill_n(row.out, row.n, T(0));
    else
      finish_row(row, saved.row_maximum[r], searches[r]);
  });
  return saved;
}

/// sum u and sum u g of every row split over the ranks.
template <class T>
void ThresholdRows::State::gradient_sums(const void *x, const ThresholdSaved &saved, const void *g, Storage storage) {
  std::fill(sums.begin(), sums.end(), 0.0);
  for_each_row<T>(shape, storage, x, g, nullptr, buffers, [&](const RowInHand<T> &row) {
    const auto r = static_cast<std::size_t>(row.number);
    if (saved.row_maximum[r] == -infinity) return;
    const ThresholdSums mine = kernels_of<T>(*backend).gradient_sums({row.x, row.n, saved.row_maximum[r], saved.t[r]},
                                                                     family_of(row.number), row.g);
    sums[2 * r] = mine.first;
    sums[2 * r + 1] = mine.second;
  });
  group->sum(std::span<double>(sums));
}

template <class T>
std::vector<double> ThresholdRows::State::backward(const void *x, const ThresholdSaved &saved, const void *g,
                                                   Storage storage, void *dx) {
  if (on_device) return on_device->backward(x, saved, g, storage, dx, outcomes);
  const ThresholdKernels<T> &kernels = kernels_of<T>(*backend);
  const bool parameter = has_parameter(options.op);
  std::vector<double> of_rows;
  std::vector<double> gradient;
  agree([&] {
    reserve<T>();
    of_rows.resize(rows());
    gradient.resize(parameter ? families.size() : 0);
  });
  if (group != nullptr) gradient_sums<T>(x, saved, g, storage);
  for_each_row<T>(shape, storage, x, g, dx, buffers, [&](const RowInHand<T> &row) {
    const auto r = static_cast<std::size_t>(row.number);
    if (saved.row_maximum[r] == -infinity) {
      std::fill_n(row.out, row.n, T(0));
      return;
    }
    const ThresholdRow<T> at{row.x, row.n, saved.row_maximum[r], saved.t[r]};
    const ThresholdFamily &family = family_of(row.number);
    const ThresholdSums of_row =
        group == nullptr ? kernels.gradient_sums(at, family, row.g) : ThresholdSums{sums[2 * r], sums[2 * r + 1]};
    of_rows[r] = family.sign * kernels.gradient(at, family, row.g, of_row.second / of_row.first, parameter, row.out);
    double &square = outcomes[r].gradient_square = 0;
    for (std::int64_t i = 0; options.monitor && i < row.n; ++i) square += static_cast<double>(row.out[i]) * row.out[i];
  });
  for (std::size_t r = 0; parameter && r < rows(); ++r)
    gradient[parameter_of(static_cast<std::int64_t>(r))] += of_rows[r];
  if (group != nullptr) group->sum(std::span<double>(gradient));
  return gradient;
}

ThresholdRows::ThresholdRows(RowsShape shape, ThresholdRowsOptions options)
    : state_(std::make_unique<State>(nullptr, shape, std::move(options))) {}
ThresholdRows::ThresholdRows(const Communicator &communicator, RowsShape shape, ThresholdRowsOptions options)
    : state_(std::make_unique<State>(communicator.size() > 1 ? &communicator : nullptr, shape, std::move(options))) {}
ThresholdRows::~ThresholdRows() = default;
ThresholdRows::ThresholdRows(ThresholdRows &&) noexcept = default;
ThresholdRows &ThresholdRows::operator=(ThresholdRows &&) noexcept = default;

ThresholdSaved ThresholdRows::forward(const void *x, Storage storage, void *p) {
  State &state = *state_;
  state.outcomes.clear();
  ThresholdSaved saved;
  const auto check = [&](const std::vector<double> &maxima) { state.check_maxima(maxima); };
  if (state.on_device)
    saved = state.on_device->forward(x, storage, p, state.outcomes, check);
  else if (storage == Storage::fp64)
    saved = state.group == nullptr ? state.forward_whole<double>(x, storage, p)
                                   : state.forward_split<double>(x, storage, p);
  else
    saved =
        state.group == nullptr ? state.forward_whole<float>(x, storage, p) : state.forward_split<float>(x, storage, p);
  state.collect(saved);
  state.metrics.gradient_norm = ThresholdMetrics::unknown;  // of a backward that is to come
  return saved;
}

std::vector<double> ThresholdRows::backward(const void *x, const ThresholdSaved &saved, const void *g, Storage storage,
                                            void *dx) {
  State &state = *state_;
  state.agree([&] {
    FLASHRING_CHECK(saved.row_maximum.size() == state.rows() && saved.t.size() == state.rows(), "saved are ",
                    saved.row_maximum.size(), " rows of ", state.rows(), "; give what forward returned");
  });
  std::vector<double> gradient = storage == Storage::fp64 ? state.backward<double>(x, saved, g, storage, dx)
                                                          : state.backward<float>(x, saved, g, storage, dx);
  state.collect(saved);
  double square = 0;
  for (const double part : gradient) square += part * part;
  state.metrics.parameter_gradient_norm = std::sqrt(square);
  return gradient;
}

const ThresholdMetrics &ThresholdRows::metrics() const { return state_->metrics; }

int ThresholdRows::threads() const { return state_->threads; }
std::string ThresholdRows::backend() const { return state_->backend->name; }
std::string ThresholdRows::target() const { return state_->backend->target; }
double ThresholdRows::bytes_copied() const { return state_->on_device ? state_->on_device->bytes_copied() : 0; }

}  // namespace flashring
