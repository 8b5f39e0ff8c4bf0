#!/usr/bin/env bash
# One command for a machine with an NVIDIA GPU, in two calls of less than 8 minutes each:
#
#   cluster/gpu_check.sh build [-out DIR] [-gtest DIR] [-arch LIST] [-jobs N]
#   cluster/gpu_check.sh check [-out DIR]
#
# build   compiles the core library, its tests for GPUs and a benchmark. Needed are nvcc (CUDA 12.8 or later), CMake 3.25, a
#         C++20 compiler with OpenMP and the sources of GoogleTest; neither MPI nor PETSc. NCCL is taken where it is.
# check   conformance of every GPU backend with fresh random points, compute-sanitizer on a few tiles, rings of 2 and 3
#         processes over NCCL (which may share one GPU), a lost process, then timings beside limits that are measured
#         in the same run. Ends with a table, and the same as DIR/check.json.
#
# -out DIR     where everything goes; default: build/gpu_check in the checkout
# -gtest DIR   GoogleTest's sources; default: googletest beside the checkout or in it, then /usr/src/googletest, then an
#              installed package
# -arch LIST   CMAKE_CUDA_ARCHITECTURES; default: 80 and what the GPUs here are
# -jobs N      compiler processes; default: all cores
#
# nvcc and NCCL are looked for on the PATH, in CUDA_HOME and /usr/local/cuda, NCCL also in NCCL_ROOT and in Python packages
# (nvidia/nccl). It needs the sources, so it is not installed; a copy of them without .git will do.
# Exit codes: 0 all that ran has passed; 1 something failed; 2 wrong arguments, or nothing is built; 3 no GPU here.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What comes before the timings may not take their time: parts that hang are ended or left out.
readonly build_seconds=460 check_seconds=465 timing_seconds=150

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
  rm -f "$folder/revision"
  built_of=$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)
  say "Configure: nvcc $nvcc, NCCL ${nccl_library:-not found}, GoogleTest ${gtest:-as installed}"
  rm -f "$out/build/CMakeCache.txt"
  timeout -k 5 120 cmake -S "$root" -B "$out/build" "${options[@]}" >"$folder/configure.log" 2>&1 ||
    { tail -n 30 "$folder/configure.log" >&2; fail 1 "configuring failed; all of it is in $folder/configure.log"; }
  grep -E '^-- (CUDA|NCCL) ' "$folder/configure.log" || true
  say "Build with $jobs processes"
  timeout -k 5 $((build_seconds - SECONDS)) cmake --build "$out/build" --parallel "$jobs" \
    --target test_gpu test_gpu_ring gpu_bench >"$folder/build.log" 2>&1 ||
    { grep -E -A5 'error|FAILED' "$folder/build.log" | tail -n 40 >&2 || true
      fail 1 "building failed or took longer than $build_seconds s; all of it is in $folder/build.log"; }
  printf '%s\n' "$built_of" >"$folder/revision"
  say "Built in $SECONDS s. Next: ${BASH_SOURCE[0]} check${given_out:+ -out $out}"
}

# Parts of the check: names, results (passed, FAILED, not run), seconds, and what there is to say.
names=() results=() times=() words=()
record() {
  names+=("$1") results+=("$2") times+=("$3") words+=("$4")
  printf '%-22s %-8s %5s s  %s\n' "$1" "$2" "$3" "$4"
}
reserved=$timing_seconds
left() { echo $((check_seconds - reserved - SECONDS)); }

# part NAME SECONDS COMMAND...: runs it for no longer than that, or than what is left; its words go to a log.
part() {
  local name=$1 limit=$2 full=$2 code=0 begin=$SECONDS result=passed said ok log
  shift 2
  log=$out/logs/$name.log
  if [ "$limit" -gt "$(left)" ]; then limit=$(left); fi
  if [ "$limit" -lt 5 ]; then
    record "$name" 'not run' 0 'no time is left for it'
    return
  fi
  timeout -k 5 "$limit" "$@" >"$log" 2>&1 || code=$?
  said=$(grep -E '\[  PASSED  \]|ERROR SUMMARY|RACECHECK SUMMARY' "$log" | tail -n 2 | tr -s '=\n' ' ' || true)
  case $code in
    0)
      ok=$(grep -c ': ok' "$log" || true)
      if [ "$ok" -gt 0 ]; then said="$ok cases"; fi
      said=${said:-$(tail -n 1 "$log" | cut -c1-160)}
      ;;
    77) result='not run' said=$(tail -n 1 "$log") ;;
    124 | 137)
      result=FAILED
      if [ "$limit" -lt "$full" ]; then result='not run'; fi # not its own limit but what was left
      said="took longer than $limit s; see $log"
      ;;
    *) result=FAILED said="exit code $code: $(grep -E 'error|FAILED|: Failure|ERROR|outside' "$log" | head -n 1 | cut -c1-160 || true); see $log" ;;
  esac
  record "$name" "$result" $((SECONDS - begin)) "$said"
}

sanitizers() {
  local tool sanitizer answer
  answer=$(command -v compute-sanitizer || true)
  sanitizer=$(first_of ${answer:+"$answer"} "$cuda"/bin/compute-sanitizer "$cuda"/compute-sanitizer/compute-sanitizer)
  for tool in memcheck racecheck initcheck synccheck; do
    if [ ! -f "$sanitizer" ]; then
      record "$tool" 'not run' 0 'compute-sanitizer is not there'
    elif ! answer=$(timeout -k 5 15 "$sanitizer" --tool "$tool" "$programs/drivers/gpu_bench" -list 2>&1); then
      record "$tool" 'not run' 0 "compute-sanitizer does not work here: $(grep -v '^$' <<<"$answer" | tail -n 1 | cut -c1-120)"
    else
      part "$tool" 30 "$sanitizer" --tool "$tool" --error-exitcode 9 "$programs/tests/gpu/test_gpu" --gtest_filter='Gpu.*:Small.*:GpuScores.Small*'
    fi
  done
}

rings() {
  local ranks start=$root/tests/gpu/run_ranks.sh program=$programs/tests/gpu/test_gpu_ring
  for ranks in 2 3; do part "ring_of_$ranks" 40 "$start" "$ranks" "$program" -patience 15; done
  part ring_lost_rank 40 "$start" 3 -lost "$program" -mode lost -patience 8
  part ring_seconds 45 "$start" 2 "$program" -mode time -patience 15
  if [ -f "$out/logs/ring_seconds.log" ]; then cat "$out/logs/ring_seconds.log"; fi
}

timings() {
  local limit
  reserved=0
  limit=$(left)
  if [ "$limit" -gt 180 ]; then limit=180; fi
  rm -f "$out/rows.jsonl"
  part timings "$limit" "$programs/drivers/gpu_bench" -seconds $((limit > 30 ? limit - 20 : limit)) -json "$out/rows.jsonl"
}

# Text as a JSON string.
quoted() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  printf '"%s"' "$(tr -d '\000-\037' <<<"$text")"
}

write_json() {
  local i separator='' line
  {
    printf '{\n "date": %s,\n "gpu": %s,\n "toolkit": %s,\n "revision": %s,\n "seed": %s,\n "seconds": %d,\n "parts": [' \
      "$(quoted "$(date -u +%Y-%m-%dT%H:%M:%SZ)")" "$(quoted "$gpu")" "$(quoted "$toolkit")" "$(quoted "$revision")" \
      "$FLASHRING_TEST_SEED" "$SECONDS"
    for i in "${!names[@]}"; do
      printf '%s\n  {"name": %s, "result": %s, "seconds": %d, "words": %s}' "$separator" "$(quoted "${names[i]}")" \
        "$(quoted "${results[i]}")" "${times[i]}" "$(quoted "${words[i]}")"
      separator=,
    done
    printf '\n ],\n "rows": ['
    separator=''
    if [ -f "$out/rows.jsonl" ]; then
      while IFS= read -r line; do
        # A run that was stopped may have left the beginning of a line.
        if [[ $line == '{'*'}' ]]; then printf '%s\n  %s' "$separator" "$line"; separator=,; fi
      done <"$out/rows.jsonl"
    fi
    printf '\n ]\n}\n'
  } >"$out/check.json.part"
  mv "$out/check.json.part" "$out/check.json"
}

summary() {
  local i failed=0
  if [ -f "$out/logs/timings.log" ]; then
    say 'Timings (docs/gpu.md says what the columns are)'
    cat "$out/logs/timings.log"
  fi
  say "$gpu; $toolkit; revision $revision; FLASHRING_TEST_SEED=$FLASHRING_TEST_SEED"
  for i in "${!names[@]}"; do
    printf '%-22s %-8s %5s s\n' "${names[i]}" "${results[i]}" "${times[i]}"
    if [ "${results[i]}" = FAILED ]; then failed=$((failed + 1)); fi
  done
  for i in "${!names[@]}"; do
    if [ "${results[i]}" != passed ]; then printf '%s: %s: %s\n' "${results[i]}" "${names[i]}" "${words[i]}"; fi
  done
  printf '%d of %d parts failed, after %d s; %s\n' "$failed" ${#names[@]} "$SECONDS" "$out/check.json"
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
  export FLASHRING_TEST_SEED FLASHRING_TEST_SECONDS=100 FLASHRING_TEST_NEEDS_GPU=1
  mkdir -p "$out/logs"
  say "${gpu:-a GPU}: backends $(paste -sd ';' <<<"$backends")"
  part conformance 130 "$programs/tests/gpu/test_gpu"
  sanitizers
  rings
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
