// Numbers of an option: a list on the command line, or a small file that every rank gets all of.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"

namespace flashring {

/// The numbers of a list such as 1,0.5,2. Throws Error: the text is neither `other`, nor such numbers, nor a file.
std::vector<double> parse_numbers(const std::string &option, const std::string &text, const std::string &other);

/// `count` numbers from a file of points, as one column or one row. `each`: what has one ("feature"), for messages.
/// Collective.
std::vector<double> read_numbers(const std::string &what, const std::string &file, std::int64_t count,
                                 const std::string &each, const Communicator &communicator);

}  // namespace flashring
