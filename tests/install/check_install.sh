#!/usr/bin/env bash
# Installs a build, moves the tree, and uses it as a stranger would: a CMake project, a Makefile, the installed program,
# and a PETSc program that knows nothing of it.
# usage: check_install.sh BUILD_FOLDER SOURCE_FOLDER STOCK_PROGRAM MPIEXEC NUMPROC_FLAG BUILD_TYPE
set -euo pipefail
build=$1 source=$2 stock=$3 mpiexec=$4 flag=$5 build_type=$6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log

# No path of the build may help: what is found is found through the moved tree.
unset LD_LIBRARY_PATH
fail() { printf 'check_install: %s\n' "$*" >&2; [ ! -s "$log" ] || tail -n 60 "$log" >&2; exit 1; }
step() { printf -- '-- %s\n' "$*"; }
# quietly COMMAND...: its output goes to the log, which a failure shows.
quietly() { "$@" >"$log" 2>&1 || fail "failed: $*"; }
# expect TEXT COMMAND...: the output must hold the text.
expect() {
  local text=$1
  shift
  quietly "$@"
  grep -qF -- "$text" "$log" || fail "no '$text' in the output of: $*"
}
on_ranks() { local n=$1; shift; "$mpiexec" "$flag" "$n" "$@"; }

step 'install, then move the tree'
quietly cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/moved"
root=$work/moved
lib=$(dirname "$(find "$root" -name libflashring.so)")
soname=$(readelf -d "$lib/libflashring.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
[ "$soname" = libflashring.so.0 ] || fail "soname is $soname"

step 'nothing in it names the folders of the build'
# Debug information does, so of other builds only the text files are looked at.
text_only=()
[ "$build_type" = Release ] || text_only=(-I)
if grep -rlF "${text_only[@]}" -e "$build" -e "$source" -e "$work/first" "$root" >"$log"; then
  fail 'paths of the build in'
fi
# Only our own names leave the library.
foreign=$(nm -DC --defined-only "$lib/libflashring.so" | awk '{ $1 = $2 = ""; print }' |
  grep -vE '^ *([a-z -]+ (for|to) )?flashring::|^ *((Mat|MatCreate_?|PetscDLLibraryRegister_)?[Ff]lashring|EPSBlockKrylovSchur)' || true)
[ -z "$foreign" ] || { printf '%s\n' "$foreign" >"$log"; fail 'foreign names leave the library'; }

# check_programs FOLDER: both programs on 1 and 2 ranks; the numbers must not depend on the ranks.
check_programs() {
  local folder=$1 n
  for n in 1 2; do
    quietly on_ranks "$n" "$folder/time_loop" -particles 300 -steps 6
    cp "$log" "$work/time_loop.$n"
    # Clouds that drift apart: the eigenvalue grows from step to step and ends near 1.
    [ "$(grep -c '^step' "$log")" -eq 6 ] || fail 'time_loop did not print six steps'
    awk '$1 == "step" { if ($NF <= last) exit 1; last = $NF } END { exit !(last > 0.9 && last < 1) }' "$log" ||
      fail 'the eigenvalues of time_loop do not grow towards 1'
    [ -e "$folder/use_operator" ] || continue
    expect 'errors arrive: yes' on_ranks "$n" "$folder/use_operator"
    [ "$(grep -c 'P 1 is 1: yes' "$log")" -eq 2 ] || fail 'use_operator: rows of P do not sum to 1'
    grep -q '^flashring [0-9]' "$log" || fail 'use_operator: no version'
  done
  diff "$work/time_loop.1" "$work/time_loop.2" >"$log" || fail 'time_loop differs between 1 and 2 ranks'
}

step 'a CMake project, C and C++'
project=$source/tests/install/cmake_project
quietly cmake -S "$project" -B "$work/cmake_build" -DCMAKE_PREFIX_PATH="$root" -DCMAKE_BUILD_TYPE=Release
quietly cmake --build "$work/cmake_build"
check_programs "$work/cmake_build"

step 'a CMake project in C alone'
quietly cmake -S "$project" -B "$work/c_build" -DCMAKE_PREFIX_PATH="$root" -DWITH_CXX=OFF
quietly cmake --build "$work/c_build"
check_programs "$work/c_build"

# With -D as a user would; the environment of this test names the right PETSc.
if [ -d "${OTHER_PETSC_DIR:-}" ]; then
  step 'another PETSc than the one of the build is refused'
  if cmake -S "$project" -B "$work/other_build" -DCMAKE_PREFIX_PATH="$root" -DPETSC_DIR="$OTHER_PETSC_DIR" \
    -DSLEPC_DIR="$OTHER_SLEPC_DIR" >"$log" 2>&1; then
    fail 'another PETSc was accepted'
  fi
  tr -s ' \n' ' ' <"$log" | grep -q 'this flashring was built for PETSc .* but .* is PETSc ' ||
    fail 'refused for another reason'
fi

step 'a Makefile with pkg-config'
# A PETSc that is not the default one has its files first, as its user would put them.
arch=${PETSC_ARCH:+$PETSC_ARCH/}
petsc=${PETSC_DIR:+$PETSC_DIR/${arch}lib/pkgconfig:}${SLEPC_DIR:+$SLEPC_DIR/${arch}lib/pkgconfig:}
mkdir "$work/make_build"
quietly env PKG_CONFIG_PATH="$petsc$lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}" \
  make -C "$work/make_build" -f "$source/tests/install/make_project/Makefile" FOLDER="$source/tests/install"
check_programs "$work/make_build"

step 'the installed program'
quietly "$root/bin/flashring-diffmap" -version
cd "$work"
quietly on_ranks 2 "$root/bin/flashring-diffmap" -generate circle:n=200 -beta 2 -nev 3 -output "$work/run"
[ -s "$work/run/report.json" ] || fail 'flashring-diffmap wrote no report.json'

step 'the installed plugin in a program that knows nothing of it'
export FLASHRING_ROOT=$root
# PETSc replaces variables itself, so the last one is not for the shell.
# shellcheck disable=SC2016
by_variable='${FLASHRING_ROOT}'${lib#"$root"}/libflashring.so
for plugin in "$lib/libflashring.so" "$lib/libflashring.so.0" "$lib/libflashring" "$by_variable"; do
  expect 'All requested eigenvalues computed' on_ranks 2 "$stock" -dll_append "$plugin" -mat_type flashring \
    -mat_flashring_generate circle:n=600 -mat_flashring_beta 50 -mat_flashring_form symmetric \
    -eps_largest_real -eps_nev 4
done
echo 'check_install: all is well'
