// Packing points into tiles. No include guard: included once per instruction set inside HWY_NAMESPACE.

std::size_t payload_bytes(const TileShape &shape) { return payload_values(shape) * column_bytes(shape.precision); }

/// Factor of features beside the caller's.
double own_scale(const TileShape &shape) { return sum_of(shape) == Sum::norms ? std::sqrt(2.0) : 1; }

/// Features of the tile's rows as the formula wants them, one after the other.
template <class Take>
void for_each_feature(const TileShape &shape, const PackInput &input, Take take) {
  const double scale = input.scale * own_scale(shape);
  const int width = row_numbers(shape.pair.kind, shape.features);
  for (std::int64_t i = 0; i < input.count; ++i)
    for (int k = 0; k < shape.features; ++k)
      take(i, k, (input.rows[i * width + k] - (input.mean != nullptr ? input.mean[k] : 0)) * scale);
}

/// Word of feature k where the rows of triangles follow the features, and that of row k's number l behind it.
constexpr std::int64_t triangle_word(std::int64_t k) { return k * (k + 3) / 2; }

/// Calls take(word, number of a row as it is given) for every word of a point with a covariance.
template <class Take>
void for_each_triangle_word(int features, Take take) {
  for (int k = 0, at = features; k < features; ++k) {
    take(triangle_word(k), k);
    for (int l = 0; l <= k; ++l) take(triangle_word(k) + 1 + l, at++);
  }
}

/// (T / group, words, group)
template <class T>
void pack_covariances(const TileShape &shape, const PackInput &input, T *x) {
  const std::int64_t width = row_numbers(shape.pair.kind, shape.features);
  constexpr std::int64_t group = group_rows<T>;
  for (std::int64_t i = 0; i < input.count; ++i)
    for_each_triangle_word(shape.features, [&](std::int64_t word, int number) {
      double value = input.rows[i * width + number];
      if (number < shape.features) value = (value - (input.mean != nullptr ? input.mean[number] : 0)) * input.scale;
      x[(i / group * width + word) * group + i % group] = static_cast<T>(value);
    });
}

template <class T>
void pack_as(const TileShape &shape, const PackInput &input, std::byte *payload) {
  T *x = reinterpret_cast<T *>(payload);  // (T / group, d, group)
  if (sum_of(shape) == Sum::covariances) return pack_covariances(shape, input, x);
  constexpr std::int64_t group = group_rows<T>;
  double norm[tile_rows] = {};
  for_each_feature(shape, input, [&](std::int64_t i, int k, double value) {
    const T rounded = static_cast<T>(value);
    x[(i / group * shape.features + k) * group + i % group] = rounded;
    norm[i] += static_cast<double>(rounded) * static_cast<double>(rounded);
  });
  const std::int64_t d = shape.features;
  const bool scalars = scalars_of(shape.pair.kind) > 0;
  T *norms = x + d * tile_rows;
  for (std::int64_t i = 0; i < input.count; ++i)
    norms[i] = static_cast<T>(scalars ? input.rows[i * (d + 1) + d] : -norm[i] / 2);
}

/// Length of the unit in which no feature leaves 16 bits and no inner product of two rounded points leaves 32: rounding
/// lengthens a point by at most sqrt(d)/2 units.
double short_unit(const TileShape &shape, const PackInput &input) {
  double norm[tile_rows] = {};
  double largest = 0;
  for_each_feature(shape, input, [&](std::int64_t i, int /*k*/, double value) {
    norm[i] += value * value;
    largest = std::max(largest, std::abs(value));
  });
  const double longest = std::sqrt(*std::max_element(norm, norm + tile_rows));
  const double unit = std::max(largest / 32766, longest / (46339 - std::sqrt(shape.features) / 2));
  return unit > 0 ? unit : 1;
}

void pack_short(const TileShape &shape, const PackInput &input, std::byte *payload) {
  // float holds the unit that is used, so that every backend call sees the same one.
  const float unit = std::max(std::numeric_limits<float>::min(), static_cast<float>(short_unit(shape, input)));
  std::uint32_t *x = reinterpret_cast<std::uint32_t *>(payload);  // (T / group, words, group), two features in a word
  constexpr std::int64_t group = group_rows<float>;
  const std::int64_t words = feature_words(true, shape.features);
  std::int64_t norm[tile_rows] = {};
  for_each_feature(shape, input, [&](std::int64_t i, int k, double value) {
    const auto rounded = static_cast<std::int64_t>(std::lrint(value / unit));
    x[(i / group * words + k / 2) * group + i % group] |= (static_cast<std::uint32_t>(rounded) & 0xffffU) << k % 2 * 16;
    norm[i] += rounded * rounded;
  });
  float *norms = reinterpret_cast<float *>(payload) + words * tile_rows;
  const double square = static_cast<double>(unit) * unit;
  for (std::int64_t i = 0; i < input.count; ++i)
    norms[i] = static_cast<float>(-static_cast<double>(norm[i]) / 2 * square);
  norms[tile_rows] = unit;
}

void pack(const TileShape &shape, const PackInput &input, std::byte *payload) {
  std::memset(payload, 0, payload_bytes(shape));
  if (shape.precision == Precision::fp64)
    pack_as<double>(shape, input, payload);
  else if (short_features(shape))
    pack_short(shape, input, payload);
  else
    pack_as<float>(shape, input, payload);
}

template <class T>
void unpack_as(const TileShape &shape, const std::byte *payload, std::int64_t rows, double *values) {
  const T *x = reinterpret_cast<const T *>(payload);  // (T / group, d, group)
  constexpr std::int64_t group = group_rows<T>;
  const double scale = own_scale(shape);
  const int width = row_numbers(shape.pair.kind, shape.features);
  for (std::int64_t i = 0; i < rows; ++i) {
    if (sum_of(shape) == Sum::covariances) {
      for_each_triangle_word(shape.features, [&](std::int64_t word, int number) {
        values[i * width + number] = x[(i / group * width + word) * group + i % group];
      });
      continue;
    }
    for (int k = 0; k < shape.features; ++k)
      values[i * width + k] = x[(i / group * shape.features + k) * group + i % group] / scale;
    if (width > shape.features) values[(i + 1) * width - 1] = x[std::int64_t{shape.features} * tile_rows + i];
  }
}

/// Not of 16 bits, which are never taken apart again.
void unpack(const TileShape &shape, const std::byte *payload, std::int64_t rows, double *values) {
  shape.precision == Precision::fp64 ? unpack_as<double>(shape, payload, rows, values)
                                     : unpack_as<float>(shape, payload, rows, values);
}
