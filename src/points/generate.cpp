// Generated point sets: those with known eigenvalues (docs/mathematics.md) and random ones. Point i depends on its
// global row alone, so any number of ranks makes the same set.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "flashring/points.hpp"
#include "flashring/random.hpp"

namespace flashring {
namespace {

/// Rows, features and the rule that fills row i.
struct Generated {
  std::int64_t rows = 0;
  int features = 0;
  std::function<void(std::int64_t row, double *x)> fill;  // x: (features)
};

/// Reads arguments of one set, with defaults, and refuses unknown ones.
class Arguments {
 public:
  explicit Arguments(const NamedArguments &given) : given_(given), used_(given.arguments.size(), false) {}

  std::int64_t integer(const std::string &key, std::int64_t fallback, std::int64_t least, std::int64_t most) {
    const std::string *text = find(key);
    const std::int64_t value = text == nullptr ? fallback : parse_integer(what(key), *text);
    FLASHRING_CHECK(value >= least && value <= most, what(key), "=", value, " is outside [", least, ", ", most, "]");
    return value;
  }
  double positive(const std::string &key, double fallback) {
    const std::string *text = find(key);
    const double value = text == nullptr ? fallback : parse_real(what(key), *text);
    FLASHRING_CHECK(std::isfinite(value) && value > 0, what(key), "=", value, " is not a positive finite number");
    return value;
  }
  void refuse_unknown() const {
    for (std::size_t i = 0; i < used_.size(); ++i)
      FLASHRING_CHECK(used_[i], "-generate ", given_.name, ": unknown argument '", given_.arguments[i].first,
                      "'; see -help");
  }

 private:
  std::string what(const std::string &key) const { return "-generate " + given_.name + ": " + key; }
  const std::string *find(const std::string &key) {
    for (std::size_t i = 0; i < used_.size(); ++i)
      if (given_.arguments[i].first == key) {
        used_[i] = true;
        return &given_.arguments[i].second;
      }
    return nullptr;
  }

  const NamedArguments &given_;
  std::vector<bool> used_;
};

constexpr std::int64_t most_rows = std::int64_t{1} << 40U;

Generated torus(std::int64_t n, int circles) {
  std::int64_t rows = 1;
  for (int c = 0; c < circles; ++c) {
    FLASHRING_CHECK(rows <= most_rows / n, "-generate torus: ", n, "^", circles, " points are too many");
    rows *= n;
  }
  return {rows, 2 * circles, [=](std::int64_t row, double *x) {
            for (int c = circles - 1; c >= 0; --c) {  // the last circle varies fastest
              const double angle = 2 * std::numbers::pi * static_cast<double>(row % n) / static_cast<double>(n);
              x[2 * c] = std::cos(angle);
              x[2 * c + 1] = std::sin(angle);
              row /= n;
            }
          }};
}

Generated hypercube(int d) {
  return {std::int64_t{1} << static_cast<unsigned>(d), d, [=](std::int64_t row, double *x) {
            for (int k = 0; k < d; ++k) x[k] = static_cast<double>((row >> static_cast<unsigned>(k)) & 1);
          }};
}

/// Arc length of the spiral (t cos t, t sin t) from 0 to t.
double arc_length(double t) { return 0.5 * (t * std::sqrt(1 + t * t) + std::asinh(t)); }

Generated swiss_roll(std::int64_t n, std::int64_t m) {
  const double first = 1.5 * std::numbers::pi;
  const double last = 4.5 * std::numbers::pi;
  return {n * m, 3, [=](std::int64_t row, double *x) {
            // Cell centres: the reflecting boundary then lies half a cell beyond the outermost points.
            const std::int64_t cell = row / m;
            const double along = (static_cast<double>(cell) + 0.5) / static_cast<double>(n);
            const double target = arc_length(first) + along * (arc_length(last) - arc_length(first));
            double t = first + along * (last - first);
            for (int step = 0; step < 50; ++step) t -= (arc_length(t) - target) / std::sqrt(1 + t * t);  // Newton
            x[0] = t * std::cos(t);
            x[1] = 21 * (static_cast<double>(row % m) + 0.5) / static_cast<double>(m);
            x[2] = t * std::sin(t);
          }};
}

/// Angle and height uniform: the usual cloud, denser where the spiral is tight.
Generated random_swiss_roll(std::int64_t n, std::uint64_t seed) {
  return {n, 3, [=](std::int64_t row, double *x) {
            const auto point = static_cast<std::uint64_t>(row);
            const double t = std::numbers::pi * (1.5 + 3 * random_uniform(seed, RandomStream::points, point, 0));
            x[0] = t * std::cos(t);
            x[1] = 21 * random_uniform(seed, RandomStream::points, point, 1);
            x[2] = t * std::sin(t);
          }};
}

/// Angle round the tube of radius 1, whose centre has radius 2, below which lies a share of the area of `share`: the
/// area of a ring grows with its radius 2 + cos v, so v + sin(v)/2 = 2 pi share, Kepler's equation.
double angle_round_tube(double share) {
  const double target = 2 * std::numbers::pi * share;
  double v = target;
  for (int step = 0; step < 20; ++step) v -= (v + 0.5 * std::sin(v) - target) / (1 + 0.5 * std::cos(v));  // Newton
  return v;
}

/// Uniform by area.
Generated random_torus(std::int64_t n, std::uint64_t seed) {
  return {n, 3, [=](std::int64_t row, double *x) {
            const auto point = static_cast<std::uint64_t>(row);
            const double u = 2 * std::numbers::pi * random_uniform(seed, RandomStream::points, point, 0);
            const double v = angle_round_tube(random_uniform(seed, RandomStream::points, point, 1));
            x[0] = (2 + std::cos(v)) * std::cos(u);
            x[1] = (2 + std::cos(v)) * std::sin(u);
            x[2] = std::sin(v);
          }};
}

Generated clusters(std::int64_t n, int d, std::int64_t k, double spread, std::uint64_t seed) {
  return {n, d, [=](std::int64_t row, double *x) {
            const auto centre = static_cast<std::uint64_t>(row % k);
            for (int f = 0; f < d; ++f) {
              const auto feature = static_cast<std::uint64_t>(f);
              x[f] = 2 * random_uniform(seed, RandomStream::centres, centre, feature) - 1 +
                     spread * random_normal(seed, RandomStream::points, static_cast<std::uint64_t>(row), feature);
            }
          }};
}

Generated normal(std::int64_t n, int d, std::uint64_t seed) {
  return {n, d, [=](std::int64_t row, double *x) {
            for (int f = 0; f < d; ++f)
              x[f] = random_normal(seed, RandomStream::points, static_cast<std::uint64_t>(row),
                                   static_cast<std::uint64_t>(f));
          }};
}

/// Share of the mass of exp(-(x^2 - 1)^2 / t) below each of the cell borders of [-range, range].
std::vector<double> well_shares(double t, double range, int cells) {
  std::vector<double> shares{0};
  for (int c = 0; c < cells; ++c) {
    const double x = range * ((2.0 * c + 1) / cells - 1);
    shares.push_back(shares.back() + std::exp(-(x * x - 1) * (x * x - 1) / t));
  }
  for (double &share : shares) share /= shares.back();
  return shares;
}

/// Of density exp(-((x^2 - 1)^2 + y^2) / t): wells at (-1, 0) and (1, 0), a barrier of height 1/t between.
Generated double_well(std::int64_t n, double t, std::uint64_t seed) {
  constexpr int cells = 1 << 14;
  const double range = std::sqrt(1 + std::sqrt(40 * t));  // what is beyond has e^-40 of the density at the wells
  return {n, 2, [shares = well_shares(t, range, cells), range, t, seed](std::int64_t row, double *x) {
            const auto point = static_cast<std::uint64_t>(row);
            const double share = random_uniform(seed, RandomStream::points, point, 0);
            const auto cell = std::upper_bound(shares.begin() + 1, shares.end() - 1, share) - shares.begin() - 1;
            const double low = shares[static_cast<std::size_t>(cell)];
            const double within = (share - low) / (shares[static_cast<std::size_t>(cell) + 1] - low);
            x[0] = range * (2 * (static_cast<double>(cell) + within) / cells - 1);
            x[1] = std::sqrt(0.5 * t) * random_normal(seed, RandomStream::points, point, 1);
          }};
}

Generated choose_set(const std::string &name, Arguments &a) {
  const auto n = [&](std::int64_t least) { return a.integer("n", 1000, least, most_rows); };
  const auto d = [&](std::int64_t most) { return static_cast<int>(a.integer("d", 3, 1, most)); };
  const auto seed = [&] { return static_cast<std::uint64_t>(a.integer("seed", 1, 0, INT64_MAX)); };
  if (name == "circle") return torus(n(1), 1);
  if (name == "torus") return torus(a.integer("n", 30, 1, most_rows), static_cast<int>(a.integer("q", 2, 1, 64)));
  if (name == "hypercube") return hypercube(static_cast<int>(a.integer("d", 10, 1, 40)));
  if (name == "swiss_roll") return swiss_roll(a.integer("n", 85, 2, 1 << 20), a.integer("m", 20, 2, 1 << 20));
  if (name == "random_swiss_roll") return random_swiss_roll(n(1), seed());
  if (name == "random_torus") return random_torus(n(1), seed());
  if (name == "clusters")
    return clusters(n(1), d(1 << 20), a.integer("k", 5, 1, most_rows), a.positive("spread", 0.1), seed());
  if (name == "double_well") return double_well(n(1), a.positive("t", 0.2), seed());
  if (name == "normal") return normal(n(1), d(1 << 20), seed());
  throw Error("-generate: '" + name + "' is unknown; known are circle:n=, torus:n=,q=, hypercube:d=, " +
              "swiss_roll:n=,m=, random_swiss_roll:n=,seed=, random_torus:n=,seed=, double_well:n=,t=,seed=, "
              "clusters:n=,d=,k=,spread=,seed=, normal:n=,d=,seed=");
}

Generated parse_set(std::string_view text) {
  const NamedArguments given = parse_named_arguments("-generate", text);
  Arguments arguments(given);
  Generated set = choose_set(given.name, arguments);
  arguments.refuse_unknown();
  return set;
}

}  // namespace

PointShape generated_shape(std::string_view text) {
  const Generated set = parse_set(text);
  return {set.rows, set.features};
}

PointBlock generate_points(std::string_view text, const Communicator &communicator) {
  PointBlock points;
  communicator.agree([&] {
    const Generated set = parse_set(text);
    const int rank = communicator.rank();
    RowPartition partition = RowPartition::contiguous(set.rows, communicator.size());
    const std::int64_t local = partition.local_rows(rank);
    std::vector<double> rows(static_cast<std::size_t>(local) * static_cast<std::size_t>(set.features));
    for (std::int64_t i = 0; i < local; ++i)
      set.fill(partition.global_row(rank, LocalRow{i}).value, rows.data() + i * set.features);
    points = PointBlock(std::move(partition), rank, set.features, std::move(rows));
  });
  return points;
}

}  // namespace flashring
