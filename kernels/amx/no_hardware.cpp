// For compilers and systems that do not know the matrix unit: there is none.
#include "amx/unit.hpp"

namespace flashring::amx {

const Unit *hardware_unit() { return nullptr; }

}  // namespace flashring::amx
