#include "io/numbers.hpp"

#include <cstring>

#include "flashring/options.hpp"
#include "flashring/readers.hpp"
#include "io/point_file.hpp"

namespace flashring {

std::optional<std::vector<double>> parse_numbers(std::string_view what, std::string_view text) {
  std::vector<double> numbers;
  while (true) {
    const std::size_t comma = text.find(',');
    try {
      numbers.push_back(parse_real(what, text.substr(0, comma)));
    } catch (const Error &) {
      return std::nullopt;
    }
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

std::vector<double> read_numbers(const std::string &what, const std::string &file, std::int64_t count,
                                 const std::string &each, const Communicator &communicator) {
  return with_purpose(what, [&] {
    const PointShape shape = points_shape(file, communicator);
    const bool line = shape.rows == 1 || shape.features == 1;
    communicator.agree([&] {
      FLASHRING_CHECK(line && shape.rows * shape.features == count, file, ": has shape (", shape.rows, ", ",
                      shape.features, ") for ", count, " ", each, "s; give one number per ", each);
    });
    const PointBlock numbers = read_points(file, communicator);
    const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(numbers.rows()));
    std::vector<double> all(bytes.size() / sizeof(double));
    std::memcpy(all.data(), bytes.data(), bytes.size());
    return all;
  });
}

}  // namespace flashring
