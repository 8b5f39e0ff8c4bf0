// The median of numbers.
#pragma once

#include <vector>

namespace flashring {

/// Of at least one value; of an even number the mean of the two in the middle.
double median_of(std::vector<double> values);

}  // namespace flashring
