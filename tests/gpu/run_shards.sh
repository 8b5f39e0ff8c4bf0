#!/usr/bin/env bash
# Runs the cases of a GoogleTest program by several processes at once, each its share of them:
#   run_shards.sh PROCESSES PROGRAM ARGUMENTS...
# PROGRAM may be a tool that starts the tests. What they say is shown when all have ended, or are told to end, one after the
# other; the last line counts the cases that have passed. Exit code: the largest one.
set -euo pipefail
processes=${1:?usage: run_shards.sh PROCESSES PROGRAM ARGUMENTS...}
shift
folder=$(mktemp -d)
pids=()
# shellcheck disable=SC2317  # called by the trap
finish() {
  trap '' TERM INT # who ends a group tells this process twice
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  cat "$folder"/said.*
  sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$folder"/said.* |
    awk -v processes="$processes" '{passed += $1} END {print passed + 0, "cases passed in", processes, "processes"}'
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 143' TERM INT

export GTEST_TOTAL_SHARDS=$processes
for ((shard = 0; shard < processes; ++shard)); do
  GTEST_SHARD_INDEX=$shard "$@" >"$folder/said.$shard" 2>&1 &
  pids+=($!)
done
worst=0
for pid in "${pids[@]}"; do
  code=0
  wait "$pid" || code=$?
  [ "$code" -le "$worst" ] || worst=$code
done
pids=()
exit "$worst"
