#include "io/numbers.hpp"

#include "base/parse.hpp"
#include "flashring/check.hpp"
#include "flashring/readers.hpp"
#include "io/point_file.hpp"

namespace flashring {

std::vector<double> parse_numbers(const std::string &option, const std::string &text, const std::string &other) {
  try {
    return parse_reals(option, text);
  } catch (const Error &) {
    throw Error(detail::concatenate(option, ": '", text, "' is neither ", other,
                                    ", nor numbers such as 1,0.5,2, nor a file (", known_point_files, ")"));
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
    return gather_values(read_points(file, communicator), communicator);
  });
}

}  // namespace flashring
