#!/usr/bin/env bash
# Starts one process for each rank on this machine and waits for all of them:
#   run_ranks.sh RANKS [-lost] PROGRAM ARGUMENTS...
# Each gets -rank, -size and -folder (a fresh one) and a GPU of its own as far as there are that many; ranks that share a
# GPU are different hosts for NCCL, which takes one rank per GPU of a host. -lost: the last rank leaves with exit code 7.
# What a rank says is shown when all have ended, or are told to end, ranks after each other. Exit code: the largest one that is not expected,
# but 77 (not run) only where no rank has failed; the last line then is the reason that a rank gave.
set -euo pipefail
ranks=${1:?usage: run_ranks.sh RANKS [-lost] PROGRAM ARGUMENTS...}
shift
expected_of_last=0
if [ "${1:-}" = -lost ]; then
  expected_of_last=7
  shift
fi
folder=$(mktemp -d)
mkdir "$folder/words"
if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then
  IFS=, read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
else
  mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null || true)
fi
pids=()
# shellcheck disable=SC2317  # called by the trap
finish() {
  trap '' TERM INT # who ends a group tells this process twice
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  cat "$folder"/said.*
  [ -z "$reason" ] || printf '%s\n' "$reason"
  rm -rf "$folder"
}
worst=0 reason=
trap finish EXIT
trap 'exit 143' TERM INT

# All ranks are on this machine: loopback is there whatever the network is.
export NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-lo} NCCL_IB_DISABLE=${NCCL_IB_DISABLE:-1}
for ((rank = 0; rank < ranks; ++rank)); do
  (
    if [ ${#gpus[@]} -gt 0 ]; then
      [ ${#gpus[@]} -ge "$ranks" ] || export NCCL_HOSTID=flashring-$rank
      export CUDA_VISIBLE_DEVICES=${gpus[rank % ${#gpus[@]}]}
    fi
    exec "$@" -rank "$rank" -size "$ranks" -folder "$folder/words"
  ) >"$folder/said.$rank" 2>&1 &
  pids+=($!)
done
for ((rank = 0; rank < ranks; ++rank)); do
  code=0
  wait "${pids[rank]}" || code=$?
  expected=0
  [ "$rank" -lt $((ranks - 1)) ] || expected=$expected_of_last
  if [ "$code" -eq 77 ]; then
    reason=${reason:-$(tail -n 1 "$folder/said.$rank")}
    reason=${reason:-"not run: rank $rank did not say why"}
  elif [ "$code" -ne "$expected" ]; then
    echo "rank $rank ended with exit code $code" >>"$folder/said.$rank"
    [ "$code" -gt "$worst" ] && worst=$code
    [ "$worst" -gt 0 ] || worst=1
  fi
done
pids=()
[ "$worst" -eq 0 ] || reason=
[ -z "$reason" ] || exit 77
exit "$worst"
