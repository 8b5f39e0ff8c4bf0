// Rows of scores through a threshold family, one thread's view. A group of threads (row_cut.hpp) has a row, or a part
// of one, in shared memory from its first step to its last.
//
// Steps     Whole rows, forward: scores come in, neighbouring threads taking neighbouring ones; their largest; in their
//           place z = s (x - largest); Newton on the sums of p and u, which every thread of the group makes alike; p in
//           the place of z; p goes out. Backward: x and g come in; sums of u and u g; dx in the place of z.
//           Rows in parts: one of these steps alone, and the sums of parts added by a second launch in their order.
// Cost      A whole row is read once and written once. Operations of a score: 8, and 7 (e = 2) or about 40 (any e) for
//           each of some 6 iterations; of a row one evaluation of Newton's step in fp64 by each thread and iteration.
// Sums      Of a thread in working precision, then fp64: butterflies in a warp, then warps, then parts, in their order.
//           No atomics: bits depend on the row, its length and the step alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "sm80/row_groups.hpp"
#include "sm80/weights.hpp"

namespace flashring::sm80 {

#include "threshold_search.hpp"

/// A row's numbers in the working precision.
template <class Thread, class T>
struct RowPlace {
  using M = Math<Thread, T>;
  FLASHRING_DEVICE RowPlace(const ThresholdFamily &family, double threshold)
      : t(M::set(threshold)), rest(M::set(1 - threshold)), e_minus_1(M::set(family.e_minus_1)) {}
  template <ThresholdPower power>
  FLASHRING_DEVICE ThresholdWeight<M> weight(T z) const {
    // Without a weight there is no logarithm; most threads of a warp agree on that.
    if (power == ThresholdPower::any && !(z + rest > 0)) return {0, 0};
    return threshold_powers<power, M>(z - t, z + rest, e_minus_1);
  }
  T t, rest, e_minus_1;
};

/// body(ThresholdPower as a constant) with the family's. `general`: all but the exponential as any.
template <class Body>
FLASHRING_DEVICE void with_power(ThresholdPower power, const Body &body) {
  switch (power) {
    case ThresholdPower::one:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::one>());
    case ThresholdPower::two:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::two>());
    case ThresholdPower::three:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::three>());
    case ThresholdPower::four:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::four>());
    case ThresholdPower::any:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::any>());
    case ThresholdPower::exponential:
      return body(std::integral_constant<ThresholdPower, ThresholdPower::exponential>());
  }
}

template <class T>
FLASHRING_DEVICE ThresholdSums largest_of(const HeldRow<T> &row) {
  constexpr double infinity = __builtin_inf();
  T most = -static_cast<T>(infinity);
  bool numbers = true;
  int finite = 0;
  row.each([&](int i) {
    const T x = row.x[i];
    numbers = numbers && x < static_cast<T>(infinity);  // false for NaN, too
    most = x > most ? x : most;
    finite += x > -static_cast<T>(infinity) ? 1 : 0;
  });
  return {numbers ? static_cast<double>(most) : infinity, static_cast<double>(finite)};
}

/// z in the place of x.
template <class T>
FLASHRING_DEVICE void move_scores(const HeldRow<T> &row, const ThresholdFamily &family, double maximum) {
  const T s = static_cast<T>(family.s);
  const T most = static_cast<T>(maximum);
  row.each([&](int i) { row.x[i] = s * (row.x[i] - most); });
}

/// Sums of p and u of the thread's entries.
template <class Thread, class T>
FLASHRING_DEVICE ThresholdSums sums_of(const HeldRow<T> &row, const ThresholdFamily &family, double threshold) {
  const RowPlace<Thread, T> place(family, threshold);
  T p = 0;
  T u = 0;
  with_power(family.power, [&](auto power) {
    row.each([&](int i) {
      const auto weight = place.template weight<power()>(row.x[i]);
      p += weight.p;
      u += weight.u;
    });
  });
  return {static_cast<double>(p), static_cast<double>(u)};
}

/// p times a factor in the place of z. How many are positive, and -sum p ln p where it is asked for.
template <class Thread, class T>
FLASHRING_DEVICE ThresholdSums put_weights(const HeldRow<T> &row, const ThresholdFamily &family,
                                           const ThresholdMark &mark, bool entropy) {
  const RowPlace<Thread, T> place(family, mark.t);
  const T factor = static_cast<T>(mark.number);
  ThresholdSums seen;
  with_power(family.power, [&](auto power) {
    row.each([&](int i) {
      const T p = factor * place.template weight<power()>(row.x[i]).p;
      row.x[i] = p;
      if (!entropy || !(p > 0)) return;
      seen.first += 1;
      seen.second -= static_cast<double>(p) * std::log(static_cast<double>(p));
    });
  });
  return seen;
}

/// Sums of u and u g of the thread's entries.
template <class Thread, class T>
FLASHRING_DEVICE ThresholdSums gradient_sums_of(const HeldRow<T> &row, const ThresholdFamily &family,
                                                double threshold) {
  const RowPlace<Thread, T> place(family, threshold);
  T sum = 0;
  T product = 0;
  with_power(family.power, [&](auto power) {
    row.each([&](int i) {
      const T u = place.template weight<power()>(row.x[i]).u;
      sum += u;
      product += u > 0 ? u * row.g[i] : 0;
    });
  });
  return {static_cast<double>(sum), static_cast<double>(product)};
}

/// s e u (g - mean) in the place of z; r(power, z, weight) is summed with g - mean. Also the squares of what is put.
template <ThresholdPower power, class Thread, class T, class R>
FLASHRING_DEVICE ThresholdSums put_gradient_by(const HeldRow<T> &row, const RowPlace<Thread, T> &place, T se,
                                               double mean, const R &r) {
  T sum = 0;
  T squares = 0;
  row.each([&](int i) {
    const T z = row.x[i];
    const auto weight = place.template weight<power>(z);
    const T centred = weight.u > 0 ? row.g[i] - static_cast<T>(mean) : 0;
    if (weight.u > 0) sum += r(z, weight) * centred;
    const T dx = se * (weight.u * centred);
    row.x[i] = dx;
    squares += dx * dx;
  });
  return {static_cast<double>(sum), static_cast<double>(squares)};
}

/// The same with the r of a scale. With r, whose logarithm takes longer than a power, whole powers are taken as any.
template <ThresholdPower power, ThresholdScale scale, class Thread, class T>
FLASHRING_DEVICE ThresholdSums put_gradient_at(const HeldRow<T> &row, const ThresholdFamily &family,
                                               const ThresholdMark &mark) {
  const RowPlace<Thread, T> place(family, mark.t);
  const T e = static_cast<T>(family.e);
  const T se = static_cast<T>(family.s * family.e);
  return put_gradient_by<power>(row, place, se, mark.number, [&](T z, const auto &weight) {
    return threshold_parameter<power, scale, Math<Thread, T>>(z - place.t, z + place.rest, weight, e, se);
  });
}

template <ThresholdPower power, class Thread, class T>
FLASHRING_DEVICE ThresholdSums put_gradient_scaled(const HeldRow<T> &row, const ThresholdFamily &family,
                                                   const ThresholdMark &mark) {
  if (family.scale == ThresholdScale::none)
    return put_gradient_at<power, ThresholdScale::none, Thread>(row, family, mark);
  if (family.scale == ThresholdScale::porous)
    return put_gradient_at<power, ThresholdScale::porous, Thread>(row, family, mark);
  return put_gradient_at<power, ThresholdScale::tsallis, Thread>(row, family, mark);
}

template <class Thread, class T>
FLASHRING_DEVICE ThresholdSums put_gradient(const HeldRow<T> &row, const ThresholdFamily &family,
                                            const ThresholdMark &mark, bool parameter) {
  if (parameter)
    return family.power == ThresholdPower::exponential
               ? put_gradient_scaled<ThresholdPower::exponential, Thread>(row, family, mark)
               : put_gradient_scaled<ThresholdPower::any, Thread>(row, family, mark);
  const RowPlace<Thread, T> place(family, mark.t);
  ThresholdSums sums;
  with_power(family.power, [&](auto power) {
    sums = put_gradient_by<power()>(row, place, static_cast<T>(family.s * family.e), mark.number,
                                    [](T /*z*/, const auto & /*weight*/) { return T(0); });
  });
  return sums;
}

template <class T>
FLASHRING_DEVICE void put_zeros(const HeldRow<T> &row) {
  row.each([&](int i) { row.x[i] = 0; });
}

FLASHRING_DEVICE bool is_number(double maximum) { return maximum > -__builtin_inf() && maximum < __builtin_inf(); }

/// What a step made of a row or of its part; by one thread of the group.
template <class T>
FLASHRING_DEVICE void note_sums(const ThresholdCall &call, const RowCut &cut, const HeldRow<T> &row,
                                const ThresholdSums &sums) {
  if (row.member != 0 || row.piece.n == 0) return;
  const std::int64_t number = cut.parts == 1 ? row.piece.row : row.piece.row * cut.parts + row.piece.part;
  double *to = (cut.parts == 1 ? call.sums : call.scratch) + 2 * number;
  to[0] = sums.first;
  to[1] = sums.second;
}

/// Step forward, of a whole row that has come in.
template <class T, class Thread>
FLASHRING_DEVICE void forward_row(Thread &t, const ThresholdCall &call, const HeldRow<T> &row) {
  constexpr double rounding = sizeof(T) == 8 ? 0x1p-50 : 0x1p-21;  // four units of the last place
  const bool real = row.piece.n > 0;
  const ThresholdFamily family = family_of(call, real ? row.piece.row : 0);
  const ThresholdSums largest = group_total<Together::largest_and_sum>(t, row.width, largest_of(row));
  const bool counts = real && is_number(largest.first);
  if (counts) move_scores(row, family, largest.first);
  ThresholdSearch search;
  search.done = !counts;
  while (any_is_open(t, row.width, search.done)) {
    const ThresholdSums mine = search.done ? ThresholdSums{} : sums_of<Thread>(row, family, search.t);
    const ThresholdSums sums = group_total<Together::sums>(t, row.width, mine);
    if (!search.done) search.take(sums, family, rounding);
  }
  const ThresholdMark mark{largest.first, search.t, call.sum_one ? 1 / search.sum : 1};
  ThresholdSums seen;
  if (counts)
    seen = put_weights<Thread>(row, family, mark, call.monitor);
  else
    put_zeros(row);
  if (call.monitor) seen = group_total<Together::sums>(t, row.width, seen);
  if (row.member != 0 || !real) return;
  call.marks[row.piece.row] = mark;
  call.outcomes[row.piece.row] = {search.sum,
                                  search.step,
                                  search.iterations,
                                  static_cast<std::int64_t>(largest.second),
                                  static_cast<std::int64_t>(seen.first),
                                  seen.second,
                                  0};
}

/// A block of the steps without gradients.
template <class T, class Thread>
FLASHRING_DEVICE void weigh_rows(Thread &t, const ThresholdCall &call, const RowCut &cut) {
  const HeldRow<T> row = take_rows<T>(t, call, cut);
  if (call.step == ThresholdStep::forward) {
    forward_row(t, call, row);
    return give_rows<T>(t, call, cut);
  }
  if (call.step == ThresholdStep::largest)
    return note_sums(call, cut, row, group_total<Together::largest_and_sum>(t, row.width, largest_of(row)));
  ThresholdSums sums;
  const bool puts = call.step == ThresholdStep::weights;
  if (row.piece.n > 0) {
    const ThresholdFamily family = family_of(call, row.piece.row);
    const ThresholdMark mark = call.marks[row.piece.row];
    if (is_number(mark.maximum)) {
      move_scores(row, family, mark.maximum);
      sums = puts ? put_weights<Thread>(row, family, mark, call.monitor) : sums_of<Thread>(row, family, mark.t);
    } else if (puts) {
      put_zeros(row);
    }
  }
  note_sums(call, cut, row, group_total<Together::sums>(t, row.width, sums));
  if (puts) give_rows<T>(t, call, cut);
}

/// A block of the steps with gradients.
template <class T, class Thread>
FLASHRING_DEVICE void differentiate_rows(Thread &t, const ThresholdCall &call, const RowCut &cut) {
  const HeldRow<T> row = take_rows<T>(t, call, cut);
  const bool real = row.piece.n > 0;
  const ThresholdFamily family = family_of(call, real ? row.piece.row : 0);
  ThresholdMark mark{};
  if (real) mark = call.marks[row.piece.row];
  const bool counts = real && is_number(mark.maximum);
  if (counts) move_scores(row, family, mark.maximum);
  ThresholdSums sums;
  if (call.step != ThresholdStep::gradient) {
    if (counts) sums = gradient_sums_of<Thread>(row, family, mark.t);
    sums = group_total<Together::sums>(t, row.width, sums);
  }
  if (call.step == ThresholdStep::gradient_sums) return note_sums(call, cut, row, sums);
  if (call.step == ThresholdStep::backward) mark.number = sums.second / sums.first;
  sums = {};
  if (counts)
    sums = put_gradient<Thread>(row, family, mark, call.parameter);
  else
    put_zeros(row);
  note_sums(call, cut, row, group_total<Together::sums>(t, row.width, sums));
  give_rows<T>(t, call, cut);
}

/// Block r: the sums of a row's parts, in an order that their number alone decides.
template <class Thread>
FLASHRING_DEVICE void add_parts(Thread &t, const ThresholdCall &call, const RowCut &cut) {
  const bool largest = call.step == ThresholdStep::largest;
  ThresholdSums mine{largest ? -__builtin_inf() : 0, 0};
  for (std::int64_t part = t.thread(); part < cut.parts; part += row_threads) {
    const double *of_part = call.scratch + 2 * (t.block() * cut.parts + part);
    const ThresholdSums more{of_part[0], of_part[1]};
    mine = largest ? joined<Together::largest_and_sum>(mine, more) : joined<Together::sums>(mine, more);
  }
  const ThresholdSums total = largest ? group_total<Together::largest_and_sum>(t, row_threads, mine)
                                      : group_total<Together::sums>(t, row_threads, mine);
  if (t.thread() != 0) return;
  call.sums[2 * static_cast<std::int64_t>(t.block())] = total.first;
  call.sums[2 * static_cast<std::int64_t>(t.block()) + 1] = total.second;
}

}  // namespace flashring::sm80
