// What a row rule file declares: Rule<RowKind::NAME> with the fields of RowRule (flashring/row.hpp) as static members.
// A rule of several passes adds `advance`. How weights are folded inside a tile is each backend's own loop (fold.hpp).
// No include guard: included inside a namespace of each backend, like formula.hpp. FLASHRING_DEVICE as there.
#include <device_word.hpp>

template <RowKind kind>
struct Rule;
