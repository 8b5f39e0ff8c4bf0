// The host's view of the row rules.
#include "flashring/row.hpp"

#include <cstddef>

namespace flashring {
namespace {

constexpr double ln_of_2 = 0.69314718055994530942;

#include "flashring/row_rules.inc"

template <RowKind kind>
RowRule rule() {
  using R = Rule<kind>;
  RowRule r{R::name,    R::passes,   R::scalars, R::own_scalars, R::value_columns, R::state_words,
            R::outputs, R::identity, R::merge,   nullptr,        R::finish};
  if constexpr (R::passes > 1) r.advance = R::advance;
  return r;
}

const std::vector<RowRule> &rules() {
  static const std::vector<RowRule> all = {
#define FLASHRING_ROW(name) rule<RowKind::name>(),
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  };
  return all;
}

}  // namespace

const RowRule &row_rule(RowKind kind) { return rules()[static_cast<std::size_t>(kind)]; }

std::vector<std::string_view> row_names() {
  std::vector<std::string_view> names;
  for (const RowRule &r : rules()) names.emplace_back(r.name);
  return names;
}

}  // namespace flashring
