// Sets of rows of a point set: listed in a file, or all points in a ball.
#include <algorithm>
#include <cmath>

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "flashring/readers.hpp"
#include "io/point_file.hpp"

namespace flashring {
namespace {

constexpr std::string_view ball_name = "ball:";

/// Centre in coordinates as given, radius as a distance of their features, before these are scaled.
struct Ball {
  std::vector<double> centre;  // (d)
  double radius = 0;
};

/// ball:X1,...,Xd,r=R
Ball parse_ball(const std::string &what, std::string_view text, int given) {
  Ball ball;
  const std::string place = detail::concatenate(what, " ", text);
  text.remove_prefix(ball_name.size());
  const std::size_t last = text.rfind(",r=");
  FLASHRING_CHECK(last != std::string_view::npos, place, ": has no radius; write ball:X1,...,Xd,r=R");
  ball.radius = parse_real(place + ": r", text.substr(last + 3));
  FLASHRING_CHECK(std::isfinite(ball.radius) && ball.radius > 0, place, ": the radius ", ball.radius,
                  " is no positive finite number");
  ball.centre = parse_reals(place, text.substr(0, last));
  FLASHRING_CHECK(std::ssize(ball.centre) == given, place, ": the centre has ", ball.centre.size(),
                  " coordinates, and the points have ", given);
  return ball;
}

std::vector<char> inside_ball(const Ball &ball, const PointBlock &points) {
  const std::span<const double> scales = points.feature_scales();
  std::vector<double> centre(static_cast<std::size_t>(points.features()));
  points.feature_map().apply(ball.centre.data(), centre.data());
  std::vector<char> inside(static_cast<std::size_t>(points.local_rows()));
  for (std::size_t i = 0; i < inside.size(); ++i) {
    const double *x = points.row(LocalRow{static_cast<std::int64_t>(i)});
    double square = 0;
    for (std::size_t k = 0; k < centre.size(); ++k) {
      const double difference = x[k] / (scales.empty() ? 1 : scales[k]) - centre[k];
      square += difference * difference;
    }
    inside[i] = square <= ball.radius * ball.radius ? 1 : 0;
  }
  return inside;
}

/// Every rank reads a share of the file, and hears of all rows in it.
std::vector<char> inside_list(const std::string &file, const PointBlock &points, const Communicator &communicator) {
  const PointBlock listed = read_points(file, communicator);
  const std::int64_t rows = points.partition().rows();
  const GlobalRow first =
      listed.local_rows() > 0 ? listed.partition().global_row(communicator.rank(), LocalRow{0}) : GlobalRow{};
  communicator.agree([&] {
    FLASHRING_CHECK(listed.features() == 1, file, ": has ", listed.features(),
                    " columns; give one row number for each point of the set");
    for (std::int64_t i = 0; i < listed.local_rows(); ++i) {
      const double row = *listed.row(LocalRow{i});
      FLASHRING_CHECK(row == std::floor(row) && row >= 0 && row < static_cast<double>(rows), file, ": number ",
                      first.value + i, " (counted from 0) is ", row, ", no row of ", rows,
                      " points; rows are counted from 0");
    }
  });
  std::vector<char> inside(static_cast<std::size_t>(points.local_rows()));
  for (const double row : gather_values(listed, communicator)) {
    const auto local = points.partition().local_row(communicator.rank(), GlobalRow{static_cast<std::int64_t>(row)});
    if (local) inside[static_cast<std::size_t>(local->value)] = 1;
  }
  return inside;
}

}  // namespace

std::vector<char> read_point_set(const std::string &what, const std::string &text, const PointBlock &points,
                                 const Communicator &communicator) {
  std::vector<char> inside;
  if (text.starts_with(ball_name))
    communicator.agree([&] { inside = inside_ball(parse_ball(what, text, points.feature_map().given()), points); });
  else
    inside = with_purpose(what, [&] { return inside_list(text, points, communicator); });
  const std::int64_t count = communicator.sum(static_cast<std::int64_t>(std::count(inside.begin(), inside.end(), 1)));
  if (count == 0) throw Error(detail::concatenate(what, " ", text, ": holds no point; take another set"), true);
  return inside;
}

}  // namespace flashring
