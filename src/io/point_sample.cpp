#include "io/point_sample.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "flashring/random.hpp"
#include "io/results_file.hpp"

namespace flashring {
namespace {

constexpr std::int64_t most_points = 20000;  // a picture shows no more, and gnuplot draws it within seconds
constexpr std::size_t most_categories = 20;  // colours that an eye still tells apart
constexpr std::size_t most_name_bytes = 22;  // room of the legend

constexpr std::array<std::uint32_t, most_categories> colours = {
    0x2f6db3, 0xf08c1e, 0x2f9e50, 0xd0342c, 0x8b5cb9, 0x8c5b3e, 0xe377b5, 0x6c7780, 0xb4ae1c, 0x18b2c8,
    0x16365f, 0x9a5200, 0x0d5a2b, 0x7d1014, 0x4a2a72, 0xd9b38c, 0xf5b7d6, 0x111418, 0x6a6600, 0x7fd6e3};

/// The rows of a picture: one of each of n equal runs of rows, drawn at random. A fixed step would miss whole classes
/// where rows repeat in its rhythm (class = row modulo 6, say).
std::vector<std::int64_t> drawn_rows(std::int64_t rows) {
  const std::int64_t runs = std::min(rows, most_points);
  std::vector<std::int64_t> drawn;
  for (std::int64_t j = 0; j < runs; ++j) {
    const std::int64_t begin = j * rows / runs;
    const std::int64_t length = (j + 1) * rows / runs - begin;
    const double place = random_uniform(0, RandomStream::sample, static_cast<std::uint64_t>(j), 1);
    drawn.push_back(begin + std::min(length - 1, static_cast<std::int64_t>(place * static_cast<double>(length))));
  }
  return drawn;
}

std::optional<double> as_number(const std::string &text) {
  char *end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// Different labels in order (by value where all are numbers), each with its place.
std::map<std::string, std::size_t> order_labels(const std::vector<std::string> &labels, bool &numbers) {
  std::vector<std::string> names(labels);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  numbers =
      std::all_of(names.begin(), names.end(), [](const std::string &name) { return as_number(name).has_value(); });
  if (numbers)
    std::stable_sort(names.begin(), names.end(),
                     [](const std::string &a, const std::string &b) { return *as_number(a) < *as_number(b); });
  std::map<std::string, std::size_t> places;
  for (const std::string &name : names) places.emplace(name, places.size());
  return places;
}

/// Cut to the legend's room, never inside a UTF-8 character.
std::string short_name(const std::string &name) {
  if (name.empty()) return "(empty)";
  if (name.size() <= most_name_bytes) return name;
  std::size_t end = most_name_bytes - 1;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;
  return name.substr(0, end) + "…";
}

void colour_by_category(PointSample &sample, const std::vector<SampleRow> &rows, const std::vector<std::string> &labels,
                        const std::map<std::string, std::size_t> &places) {
  sample.categories.resize(places.size());
  for (const auto &[name, place] : places) sample.categories[place] = {short_name(name), colours[place]};
  // Many points overlap: let them show through.
  const std::uint32_t transparency = rows.size() > 5000 ? 0x70000000U : 0x38000000U;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t place = places.at(labels[static_cast<std::size_t>(rows[i].index)]);
    sample.points[i].colour = transparency | sample.categories[place].rgb;
  }
}

/// Range of the middle 98 % of the colours: single extremes would leave one colour to all others.
void set_range(PointSample &sample) {
  std::vector<double> values;
  for (const SamplePoint &point : sample.points)
    if (std::isfinite(point.colour)) values.push_back(point.colour);
  if (values.empty()) return;
  std::sort(values.begin(), values.end());
  const std::size_t cut = values.size() / 100;
  sample.low = values[cut];
  sample.high = values[values.size() - 1 - cut];
  if (!(sample.high > sample.low)) sample.high = sample.low + std::max(1e-12, std::abs(sample.low));
}

void colour_by_value(PointSample &sample, const std::vector<SampleRow> &rows, int coordinates,
                     const std::string &fourth_name) {
  const std::size_t source = coordinates >= 3 ? 2 : 3;
  sample.colour_name = coordinates >= 3 ? "'third coordinate'" : fourth_name;
  for (std::size_t i = 0; i < rows.size(); ++i) sample.points[i].colour = rows[i].coordinates[source];
}

void colour_by_label(PointSample &sample, const std::vector<SampleRow> &rows, const std::vector<std::string> &labels) {
  bool numbers = false;
  const std::map<std::string, std::size_t> places = order_labels(labels, numbers);
  if (places.size() <= most_categories) return colour_by_category(sample, rows, labels, places);
  sample.colour_name = numbers ? "'label'" : "'label (place in sorted order)'";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string &label = labels[static_cast<std::size_t>(rows[i].index)];
    sample.points[i].colour = numbers ? *as_number(label) : static_cast<double>(places.at(label));
  }
}

}  // namespace

RowSampler::RowSampler(std::int64_t rows) : drawn_(drawn_rows(rows)) {}

void RowSampler::add(std::int64_t first, std::int64_t count, const RowMatrix &embedding, std::int64_t begin,
                     std::span<const double> fourth) {
  RowMatrix three = embedding;
  three.columns = std::min(3, embedding.columns);
  for (auto at = std::lower_bound(drawn_.begin(), drawn_.end(), first); at != drawn_.end() && *at < first + count;
       ++at) {
    const std::int64_t local = begin + *at - first;
    SampleRow row;
    row.index = static_cast<double>(*at);
    row.coordinates.fill(std::numeric_limits<double>::quiet_NaN());
    copy_rows(three, local, 1, row.coordinates.data());
    if (!fourth.empty()) row.coordinates[3] = fourth[static_cast<std::size_t>(local)];
    rows_.push_back(row);
  }
}

std::vector<SampleRow> RowSampler::gather(const Communicator &communicator) const {
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span(rows_)));
  if (communicator.rank() != 0) return {};
  std::vector<SampleRow> all(bytes.size() / sizeof(SampleRow));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
  const auto key = [](const SampleRow &row) {
    return random_uniform(0, RandomStream::sample, static_cast<std::uint64_t>(row.index));
  };
  std::sort(all.begin(), all.end(), [&](const SampleRow &a, const SampleRow &b) { return key(a) < key(b); });
  return all;
}

PointSample colour_rows(const std::vector<SampleRow> &rows, const std::vector<std::string> &labels, int coordinates,
                        const std::string &fourth_name) {
  PointSample sample;
  sample.points.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) sample.points[i].coordinates = rows[i].coordinates;
  if (labels.empty()) {
    colour_by_value(sample, rows, coordinates, fourth_name);
  } else {
    colour_by_label(sample, rows, labels);
  }
  set_range(sample);
  return sample;
}

RowSampler sample_rows(const RowMatrix &matrix, std::span<const double> fourth, const RowPartition &partition,
                       int rank) {
  RowSampler sampler(partition.rows());
  std::int64_t local = 0;
  for (const RowRange &range : partition.ranges(rank)) {
    sampler.add(range.begin.value, range.count, matrix, local, fourth);
    local += range.count;
  }
  return sampler;
}

RowSampler sample_map(const Results &results, const std::vector<double> &scale, const RowPartition &partition,
                      int rank) {
  std::vector<double> fourth = results.pi;
  for (double &mass : fourth) mass *= static_cast<double>(partition.rows());
  return sample_rows(embedding_of(results, partition.local_rows(rank), scale), fourth, partition, rank);
}

PointSample sample_points(const Communicator &communicator, const Results &results, const std::vector<double> &scale,
                          const RowPartition &partition, const std::vector<std::string> &labels) {
  const std::vector<SampleRow> rows = sample_map(results, scale, partition, communicator.rank()).gather(communicator);
  return colour_rows(rows, labels, static_cast<int>(scale.size()), "'{/:Italic N π}  (stationary law)'");
}

}  // namespace flashring
