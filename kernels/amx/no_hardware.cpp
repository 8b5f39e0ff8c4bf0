// For compilers and systems that do not know the matrix unit: there is none.
#include "amx/unit.hpp"

namespace flashring::amx {

bool hardware_is_present() { return false; }
const Unit *hardware_unit() { return nullptr; }

}  // namespace flashring::amx
