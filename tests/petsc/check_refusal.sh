#!/usr/bin/env bash
# A plugin that does not fit the PETSc of the program says so in one line, once for all ranks, and does nothing else: a
# program that does not need it goes on, one that does gets PETSc's error for an unknown type.
# usage: check_refusal.sh PLUGIN STOCK_PROGRAM PRELOAD|none EXPECTED_LINE COMMAND...   (COMMAND starts the ranks)
set -euo pipefail
plugin=$1 stock=$2 preload=$3 expected=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'check_refusal: %s\n' "$*" >&2; cat "$work/output" >&2; exit 1; }
[ "$preload" = none ] || export LD_PRELOAD=$preload

for type in dense flashring; do
  status=0
  # The matrix dense is zero: one step, and no matter what comes out of it.
  "$@" "$stock" -dll_append "$plugin" -mat_type "$type" -n 20 -eps_max_it 1 >"$work/output" 2>&1 || status=$?
  [ "$(grep -c 'libflashring is not loaded: ' "$work/output")" -eq 1 ] || fail "not one refusal with -mat_type $type"
  grep -qF "libflashring is not loaded: $expected" "$work/output" || fail "not '$expected'"
  if grep -qE 'signal|Segmentation|Caught' "$work/output"; then fail "a crash with -mat_type $type"; fi
  if [ $type = dense ]; then
    # The line is all that is said of it.
    if [ "$status" -ne 0 ] || grep -q 'PETSC ERROR' "$work/output"; then fail 'a program that does not need it fails'; fi
  else
    [ "$status" -ne 0 ] || fail 'no error where the type is needed'
    grep -q 'Unknown Mat type given: flashring' "$work/output" || fail 'another error than for an unknown type'
  fi
done
echo 'check_refusal: all is well'
