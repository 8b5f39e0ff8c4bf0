#include "methods/symmetric_eigen.hpp"

#include <petscsys.h>
#include <slepcblaslapack.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "flashring/check.hpp"

namespace flashring {

SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::size_t n) {
  FLASHRING_CHECK(std::all_of(matrix.begin(), matrix.end(), [](double a) { return std::isfinite(a); }),
                  "the kernel matrix of the landmarks has entries that are not finite; rescale the points or take "
                  "another kernel parameter");
  auto size = static_cast<PetscBLASInt>(n);
  std::vector<double> ascending(n);
  double real_size = 0;
  PetscBLASInt integer_size = 0;
  PetscBLASInt ask = -1;
  PetscBLASInt info = 0;
  LAPACKsyevd_("V", "U", &size, matrix.data(), &size, ascending.data(), &real_size, &ask, &integer_size, &ask, &info);
  auto real_count = static_cast<PetscBLASInt>(real_size);
  std::vector<double> work(static_cast<std::size_t>(real_count));
  std::vector<PetscBLASInt> integers(static_cast<std::size_t>(integer_size));
  LAPACKsyevd_("V", "U", &size, matrix.data(), &size, ascending.data(), work.data(), &real_count, integers.data(),
               &integer_size, &info);
  FLASHRING_CHECK(info == 0, "LAPACK's dsyevd finds no eigenvalues of a matrix of ", n, " landmarks (info = ", info,
                  "); take other landmarks or none");
  SymmetricEigen found;
  found.vectors.reserve(matrix.size());
  for (std::size_t k = n; k-- > 0;) {
    found.values.push_back(ascending[k]);
    const auto column = matrix.begin() + static_cast<std::ptrdiff_t>(k * n);
    found.vectors.insert(found.vectors.end(), column, column + static_cast<std::ptrdiff_t>(n));
  }
  return found;
}

std::vector<double> from_first_rank(const Communicator &communicator,
                                    const std::function<std::vector<double>()> &make) {
  std::vector<double> values;
  communicator.agree([&] {
    if (communicator.rank() == 0) values = make();
  });
  const std::int64_t count = communicator.sum(static_cast<std::int64_t>(values.size()));
  communicator.agree([&] { values.resize(static_cast<std::size_t>(count)); });
  communicator.broadcast(std::as_writable_bytes(std::span<double>(values)), 0);
  return values;
}

}  // namespace flashring
