#!/usr/bin/env bash
# One command for a machine with an NVIDIA GPU, in two calls of less than 8 minutes each:
#
#   cluster/gpu_check.sh build [-out DIR] [-gtest DIR] [-arch LIST] [-jobs N]
#   cluster/gpu_check.sh check [-out DIR]
#
# build   compiles the core library, its tests, those for GPUs first, and a benchmark. Needed are nvcc (CUDA 12.8 or
#         later), CMake 3.25, a C++20 compiler with OpenMP and the sources of GoogleTest. NCCL is taken where it is; where
#         MPI and PETSc are, flashring-diffmap is built in a tree of its own.
# check   conformance of every GPU backend with fresh random points, rings of 2 and 3 processes over NCCL (which may share
#         one GPU) and through the host, a lost process, compute-sanitizer on a few tiles beside the tests of the core and
#         a diffusion map with PETSc, then timings beside limits that are measured in the same run. Ends with a table and
#         with what of the numbers that are asked for is reached; the same as DIR/check.json.
#
# -out DIR     where everything goes; default: build/gpu_check in the checkout
# -gtest DIR   GoogleTest's sources; default: googletest beside the checkout or in it, then /usr/src/googletest, then an
#              installed package
# -arch LIST   CMAKE_CUDA_ARCHITECTURES; default: 80 and what the GPUs here are
# -jobs N      compiler processes; default: all cores
#
# nvcc and NCCL are looked for on the PATH, in CUDA_HOME and /usr/local/cuda, NCCL also in NCCL_ROOT and in Python packages
# (nvidia/nccl). It needs the sources, so it is not installed; a copy of them without .git will do, whose revision
# FLASHRING_REVISION tells.
# Exit codes: 0 all that ran has passed; 1 something failed; 2 wrong arguments, or nothing is built; 3 no GPU here.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What comes before the timings may not take their time: parts that hang are ended or left out. The limits of all these
# parts together are what is left, so that none is left out because others were slow.
readonly build_seconds=460 check_seconds=465 timing_seconds=150
# Processes of a part: each takes memory of the GPU, and more than this do not make it faster.
processes=$(nproc)
readonly processes=$((processes < 8 ? processes : 8))

say() { printf '\n== %s\n' "$*"; }
fail() {
  local code=$1
  shift
  printf 'gpu_check: %s\n' "$*" >&2
  exit "$code"
}
usage() { sed -n '2,/^# Exit codes/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# First of the given paths that exists, or nothing.
first_of() {
  local path
  for path in "$@"; do
    if [ -e "$path" ]; then
      printf '%s\n' "$path"
      return
    fi
  done
}

find_nvcc() {
  local on_path
  on_path=$(command -v nvcc || true)
  first_of ${on_path:+"$on_path"} "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" /usr/local/cuda/bin/nvcc
}

# Folders of Python packages of NVIDIA that hold NCCL.
python_nccl() {
  local python
  python=$(command -v python3 || command -v python || true)
  [ -n "$python" ] || return 0
  "$python" - <<'PYTHON' 2>/dev/null || true
import os, site, sys
places = sys.path + site.getsitepackages() + [site.getusersitepackages()]
for place in dict.fromkeys(places):
    if os.path.exists(os.path.join(place, "nvidia/nccl/include/nccl.h")):
        print(os.path.join(place, "nvidia/nccl"))
PYTHON
}

# Sets nccl_header and nccl_library, or leaves them empty.
find_nccl() {
  local cuda=$1 folder
  local -a folders=()
  if [ -n "${NCCL_ROOT:-}" ]; then folders+=("$NCCL_ROOT"); fi
  folders+=("$cuda" /usr /usr/local)
  while IFS= read -r folder; do folders+=("$folder"); done < <(python_nccl)
  nccl_header='' nccl_library=''
  for folder in "${folders[@]}"; do
    nccl_header=$(first_of "$folder/include/nccl.h")
    nccl_library=$(first_of "$folder"/{lib64,lib,"lib/$(uname -m)-linux-gnu"}/libnccl.so{,.2})
    if [ -n "$nccl_header" ] && [ -n "$nccl_library" ]; then return; fi
  done
  nccl_header='' nccl_library=''
}

# 80 for all, and the GPUs of this machine with the instructions that only they have.
architectures() {
  local list=80 capability
  while IFS= read -r capability; do
    case $capability in
      9.0) list+=';90a-real' ;;
      [1-9][0-9].[0-9]) list+=";${capability/./}-real" ;;
    esac
  done < <(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u)
  if ! nvidia-smi >/dev/null 2>&1; then list='80;90a-real'; fi
  printf '%s\n' "$list"
}

build_left() { echo $((SECONDS < build_seconds ? build_seconds - SECONDS : 1)); }

build() {
  local nvcc cuda folder built_of
  nvcc=$(find_nvcc)
  [ -n "$nvcc" ] || fail 1 'no nvcc on the PATH, in CUDA_HOME or /usr/local/cuda; install the CUDA toolkit'
  command -v cmake >/dev/null || fail 1 'no cmake on the PATH; 3.25 or later is needed (pip install cmake)'
  cuda=$(cd "$(dirname "$(readlink -f "$nvcc")")/.." && pwd)
  find_nccl "$cuda"
  gtest=${gtest:-$(first_of "$root"/{googletest,../googletest,../../googletest}/CMakeLists.txt /usr/src/googletest/CMakeLists.txt)}
  gtest=${gtest%/CMakeLists.txt}
  local options=(-DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_ARCHITECTURES="${arch:-$(architectures)}"
    -DFLASHRING_WITH_CUDA=ON -DFLASHRING_WITH_MPI=OFF -DFLASHRING_WITH_PETSC=OFF -DFLASHRING_WITH_HIGHWAY=OFF
    -DFLASHRING_GTEST_SOURCE="$gtest")
  if [ -n "$nccl_library" ]; then
    options+=(-DFLASHRING_WITH_NCCL=ON -DNCCL_INCLUDE_DIR="${nccl_header%/nccl.h}" -DNCCL_LIBRARY="$nccl_library")
  else
    options+=(-DFLASHRING_WITH_NCCL=OFF)
  fi
  if command -v ninja >/dev/null; then options+=(-G Ninja); fi
  if command -v ccache >/dev/null; then options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache); fi
  folder=$out/logs
  mkdir -p "$folder"
  # What is checked later is this tree, whatever becomes of the checkout.
  rm -f "$folder/revision" "$folder/core_tests" "$folder/no_maps"
  built_of=${FLASHRING_REVISION:-$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)}
  say "Configure: nvcc $nvcc, NCCL ${nccl_library:-not found}, GoogleTest ${gtest:-as installed}"
  rm -f "$out/build/CMakeCache.txt"
  timeout -k 5 120 cmake -S "$root" -B "$out/build" "${options[@]}" >"$folder/configure.log" 2>&1 ||
    { tail -n 30 "$folder/configure.log" >&2; fail 1 "configuring failed; all of it is in $folder/configure.log"; }
  grep -E '^-- (CUDA|NCCL) ' "$folder/configure.log" || true
  say "Build with $jobs processes"
  timeout -k 5 "$(build_left)" cmake --build "$out/build" --parallel "$jobs" \
    --target test_gpu test_gpu_ring gpu_bench >"$folder/build.log" 2>&1 ||
    { grep -E -A5 'error|FAILED' "$folder/build.log" | tail -n 40 >&2 || true
      fail 1 "building failed or took longer than $build_seconds s; all of it is in $folder/build.log"; }
  printf '%s\n' "$built_of" >"$folder/revision"
  # What the check can do without.
  build_core_tests
  build_maps "${options[@]}"
  say "Built in $SECONDS s. Next: ${BASH_SOURCE[0]} check${given_out:+ -out $out}"
}

build_core_tests() {
  if timeout -k 5 "$(build_left)" cmake --build "$out/build" --parallel "$jobs" >"$folder/core_build.log" 2>&1; then
    touch "$folder/core_tests"
  else
    printf 'The tests of the core are not built, the check will do without them; see %s\n' "$folder/core_build.log"
  fi
}

# build_maps OPTIONS...: with MPI and PETSc, unless configuring says that they are not there.
build_maps() {
  local log=$folder/maps_build.log why
  rm -f "$out/maps/CMakeCache.txt" "$out/maps/drivers/flashring-diffmap"
  if timeout -k 5 "$(build_left)" cmake -S "$root" -B "$out/maps" "$@" -DFLASHRING_WITH_MPI=ON \
    -DFLASHRING_WITH_PETSC=ON -DFLASHRING_WITH_TESTS=OFF >"$log" 2>&1 &&
    timeout -k 5 "$(build_left)" cmake --build "$out/maps" --parallel "$jobs" --target flashring-diffmap >>"$log" 2>&1; then
    return
  fi
  why=$(grep -A3 -m1 -E 'CMake Error|error:|FAILED' "$log" | tr -s '\n ' ' ' | cut -c1-160 || true)
  printf 'Not built with MPI and PETSc, the check will do without them: %s; see %s\n' \
    "${why:-it takes longer than $build_seconds s}" "$log" | tee "$folder/no_maps"
}

# Parts of the check, a line each in a file, since some run at once: name, result (passed, FAILED, not run), seconds, and
# what there is to say.
record() {
  printf '%s\t%s\t%d\t%s\n' "$1" "$2" "$3" "$(printf %s "$4" | tr '\t\n' '  ')" >>"$parts"
  printf '%-22s %-8s %5s s  %s\n' "$1" "$2" "$3" "$4"
}
reserved=$timing_seconds
left() { echo $((check_seconds - reserved - SECONDS)); }

# part NAME SECONDS COMMAND...: runs it for no longer than that, or than what is left; its words go to a log. too_slow is
# what it is called when that time is over and its words tell of no fault.
part() {
  local name=$1 limit=$2 full=$2 code=0 begin=$SECONDS result=passed said ok log
  local faults='^\[  FAILED  \]|^=+ .*(Invalid|Uninitialized|Race|Barrier|hit cuda)|: Failure'
  shift 2
  log=$out/logs/$name.log
  if [ "$limit" -gt "$(left)" ]; then limit=$(left); fi
  if [ "$limit" -lt 5 ]; then
    record "$name" 'not run' 0 'no time is left for it'
    return
  fi
  timeout -k 5 "$limit" "$@" >"$log" 2>&1 || code=$?
  case $code in
    0)
      ok=$(grep -c ': ok' "$log" || true)
      said="$ok cases"
      if [ "$ok" -eq 0 ]; then said=$(tail -n 1 "$log" | cut -c1-160); fi
      ;;
    77) result='not run' said=$(tail -n 1 "$log") ;;
    124 | 137)
      result=${too_slow:-FAILED}
      if [ "$limit" -lt "$full" ]; then result='not run'; fi # not its own limit but what was left
      said="took longer than $limit s; see $log"
      if grep -qE "$faults" "$log"; then result=FAILED; fi
      ;;
    *) result=FAILED said="exit code $code: $(grep -E "$faults|error|FAILED|outside" "$log" | grep -v ': 0 errors' | head -n 1 | cut -c1-160 || true); see $log" ;;
  esac
  record "$name" "$result" $((SECONDS - begin)) "$said"
}

# With no GPU to see, programs must say why.
hidden_gpu() {
  # shellcheck disable=SC2016  # for the inner shell
  part hidden_gpu 5 env CUDA_VISIBLE_DEVICES= bash -c '
    code=0
    said=$("$1" -list 2>&1) || code=$?
    printf "%s\n" "$said"
    [ "$code" -eq 77 ] && [[ $said == *CUDA_VISIBLE_DEVICES* ]]' bash "$programs/drivers/gpu_bench"
}

rings() {
  local ranks start=$root/tests/gpu/run_ranks.sh program=$programs/tests/gpu/test_gpu_ring
  for ranks in 2 3; do part "ring_of_$ranks" 40 "$start" "$ranks" "$program" -patience 15; done
  part ring_copies 20 "$start" 2 "$program" -mode copies -patience 15
  part ring_lost_rank 35 "$start" 3 -lost "$program" -mode lost -patience 8
  part ring_seconds 40 "$start" 2 "$program" -mode time -patience 15 -json "$out/ring.jsonl"
  if [ -f "$out/logs/ring_seconds.log" ]; then cat "$out/logs/ring_seconds.log"; fi
}

# sanitize TOOL: a few tiles of each path, where it works. What it has not seen in time is no fault.
sanitize() {
  local answer sanitizer
  answer=$(command -v compute-sanitizer || true)
  sanitizer=$(first_of ${answer:+"$answer"} "$cuda"/bin/compute-sanitizer "$cuda"/compute-sanitizer/compute-sanitizer)
  if [ ! -f "$sanitizer" ]; then
    record "$1" 'not run' 0 'compute-sanitizer is not there'
  elif ! answer=$(timeout -k 5 15 "$sanitizer" --tool "$1" "$programs/drivers/gpu_bench" -list 2>&1); then
    record "$1" 'not run' 0 "compute-sanitizer does not work here: $(grep -v '^$' <<<"$answer" | tail -n 1 | cut -c1-120)"
  else
    too_slow='not run' part "$1" 60 "$root/tests/gpu/run_shards.sh" "$shards" "$sanitizer" --tool "$1" --error-exitcode 9 \
      "$programs/tests/gpu/test_gpu" --gtest_filter='Gpu.*:Small*:GpuScores.Small*'
  fi
}

core_tests() {
  if [ -f "$out/logs/core_tests" ]; then
    # without the GPU, which has tests of its own
    part core_tests 60 env CUDA_VISIBLE_DEVICES= ctest --test-dir "$programs" --parallel "$processes" --output-on-failure -E 'gpu|machine_code|configure_'
  else
    record core_tests 'not run' 0 "they are not built; see $out/logs/core_build.log"
  fi
}

# A diffusion map by two ranks of MPI with PETSc.
maps() {
  if [ -x "$out/maps/drivers/flashring-diffmap" ]; then
    part maps 60 "$root/tests/gpu/run_maps.sh" "$out/maps/drivers/flashring-diffmap"
  else
    record maps 'not run' 0 "$(cat "$out/logs/no_maps" 2>/dev/null || echo 'it is not built')"
  fi
}

# Tools that watch the GPU take turns there but not on the processor, where the others are: all at once.
watched() {
  local tool shards=$((processes > 4 ? processes / 4 : 1))
  for tool in memcheck racecheck initcheck synccheck; do sanitize "$tool" & done
  core_tests &
  maps &
  wait
}

timings() {
  local limit
  reserved=0
  limit=$(left)
  part timings "$limit" "$programs/drivers/gpu_bench" -seconds $((limit > 30 ? limit - 20 : limit)) -json "$out/rows.jsonl"
}

# Text as a JSON string.
quoted() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  printf '"%s"' "$(tr -d '\000-\037' <<<"$text")"
}

write_json() {
  local name result seconds words separator='' line
  {
    printf '{\n "date": %s,\n "gpu": %s,\n "toolkit": %s,\n "revision": %s,\n "seed": %s,\n "seconds": %d,\n "parts": [' \
      "$(quoted "$(date -u +%Y-%m-%dT%H:%M:%SZ)")" "$(quoted "$gpu")" "$(quoted "$toolkit")" "$(quoted "$revision")" \
      "$FLASHRING_TEST_SEED" "$SECONDS"
    while IFS=$'\t' read -r name result seconds words; do
      printf '%s\n  {"name": %s, "result": %s, "seconds": %d, "words": %s}' "$separator" "$(quoted "$name")" \
        "$(quoted "$result")" "$seconds" "$(quoted "$words")"
      separator=,
    done <"$parts"
    printf '\n ],\n "rows": ['
    separator=''
    while IFS= read -r line; do
      # A run that was stopped may have left the beginning of a line.
      if [[ $line == '{'*'}' ]]; then printf '%s\n  %s' "$separator" "$line"; separator=,; fi
    done < <(cat "$out/ring.jsonl" "$out/rows.jsonl" 2>/dev/null || true)
    printf '\n ]\n}\n'
  } >"$out/check.json.part"
  mv "$out/check.json.part" "$out/check.json"
}

summary() {
  local failed
  if [ -f "$out/logs/timings.log" ]; then
    say 'Timings (docs/gpu.md says what the columns are)'
    grep -v '^reach: ' "$out/logs/timings.log" || true
  fi
  say 'Numbers that are asked for'
  cat "$out"/logs/{timings,ring_seconds}.log 2>/dev/null | sed -n 's/^reach: //p' || true
  say "$gpu; $toolkit; revision $revision; FLASHRING_TEST_SEED=$FLASHRING_TEST_SEED"
  awk -F '\t' '{printf "%-22s %-8s %5s s\n", $1, $2, $3}' "$parts"
  awk -F '\t' '$2 != "passed" {printf "%s: %s: %s\n", $2, $1, $4}' "$parts"
  failed=$(awk -F '\t' '$2 == "FAILED"' "$parts" | wc -l)
  printf '%d of %d parts failed, after %d s; %s\n' "$failed" "$(wc -l <"$parts")" "$SECONDS" "$out/check.json"
  [ "$failed" -eq 0 ]
}

check() {
  programs=$out/build
  local program nvcc backends code=0
  for program in drivers/gpu_bench tests/gpu/test_gpu tests/gpu/test_gpu_ring; do
    [ -x "$programs/$program" ] || fail 2 "$programs/$program is not built; first: ${BASH_SOURCE[0]} build"
  done
  nvcc=$(find_nvcc)
  cuda=$(cd "$(dirname "$(readlink -f "${nvcc:-/usr/bin/env}")")/.." && pwd)
  toolkit=$(sed -n 's/^-- \(CUDA [0-9.]*\).*/\1/p' "$out/logs/configure.log" | head -n 1)
  gpu=$(nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader 2>/dev/null | sort | uniq -c | tr -s ' ' | paste -sd ';' || true)
  backends=$("$programs/drivers/gpu_bench" -list 2>/dev/null) || code=$?
  [ "$code" -ne 77 ] || fail 3 "no GPU here that ${toolkit:-this build} can use; nvidia-smi says: ${gpu:-nothing}"
  [ "$code" -eq 0 ] || fail 1 "$programs/drivers/gpu_bench -list ends with exit code $code"
  revision=$(cat "$out/logs/revision" 2>/dev/null || echo unknown)
  FLASHRING_TEST_SEED=${FLASHRING_TEST_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
  # A time limit for one test, besides that for all of a part; and no test may pass without a GPU.
  export FLASHRING_TEST_SEED FLASHRING_TEST_SECONDS=60 FLASHRING_TEST_NEEDS_GPU=1
  parts=$out/logs/parts
  mkdir -p "$out/logs"
  rm -f "$out"/{ring,rows}.jsonl "$out"/logs/{timings,ring_seconds}.log
  : >"$parts"
  say "${gpu:-a GPU}: backends $(paste -sd ';' <<<"$backends")"
  hidden_gpu
  part conformance 75 "$root/tests/gpu/run_shards.sh" "$processes" "$programs/tests/gpu/test_gpu"
  rings
  watched
  timings
  write_json
  summary
}

[ $# -gt 0 ] || { usage >&2; exit 2; }
command=$1
shift
out=$root/build/gpu_check given_out='' gtest='' arch='' jobs=$(nproc)
while [ $# -gt 0 ]; do
  case $1 in
    -h | -help | --help) usage; exit 0 ;;
    -out | -gtest | -arch | -jobs) [ $# -ge 2 ] || fail 2 "$1 has no value; -h tells more" ;;
    *) fail 2 "unknown argument $1; -h tells them" ;;
  esac
  case $1 in
    -out) out=$(mkdir -p "$2" && cd "$2" && pwd) given_out=yes ;;
    -gtest) gtest=$(cd "$2" && pwd) ;;
    -arch) arch=$2 ;;
    -jobs) jobs=$2 ;;
  esac
  shift 2
done
case $command in
  build) build ;;
  check) check ;;
  -h | -help | --help | help) usage ;;
  *) fail 2 "unknown command $command; it is build or check, -h tells more" ;;
esac
