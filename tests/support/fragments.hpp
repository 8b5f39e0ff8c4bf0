// Who holds which element of the matrices of mma.m16n8k16 for 16-bit numbers, and of ldmatrix and movmatrix: the
// functions of the PTX manual (Matrix fragments for mma.m16n8k16 with floating point type; ldmatrix), written from it
// and from nothing else.
#pragma once

namespace flashring::test {

struct Element {
  int row = 0;
  int column = 0;
};

/// "groupID" and "threadID_in_group" of the manual.
constexpr int group_of(int lane) { return lane >> 2; }
constexpr int lane_in_group(int lane) { return lane % 4; }

/// a_i of A (16 x 16), i = 0 .. 7, two in each register.
constexpr Element a_element(int lane, int i) {
  const bool first = (0 <= i && i < 2) || (4 <= i && i < 6);
  return {first ? group_of(lane) : group_of(lane) + 8, lane_in_group(lane) * 2 + (i & 1) + (i < 4 ? 0 : 8)};
}
/// b_i of B (16 x 8), i = 0 .. 3, two in each register.
constexpr Element b_element(int lane, int i) {
  return {lane_in_group(lane) * 2 + (i & 1) + (i < 2 ? 0 : 8), group_of(lane)};
}
/// c_i of C (16 x 8), i = 0 .. 3.
constexpr Element c_element(int lane, int i) {
  return {i < 2 ? group_of(lane) : group_of(lane) + 8, lane_in_group(lane) * 2 + (i & 1)};
}
/// Element i = 0, 1 of the register that holds one 8 x 8 matrix of 16-bit numbers (ldmatrix, movmatrix).
constexpr Element matrix_element(int lane, int i) { return {lane / 4, lane % 4 * 2 + i}; }

}  // namespace flashring::test
