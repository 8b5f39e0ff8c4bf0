// Where the system takes no such wishes.
#include "base/huge_pages.hpp"

namespace flashring {

void prefer_huge_pages(void * /*data*/, std::size_t /*bytes*/) {}

}  // namespace flashring
