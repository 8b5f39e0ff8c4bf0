#!/usr/bin/env bash
# The same diffusion map by two ranks on GPUs, which they may share, and by backend ref:
#   run_maps.sh FLASHRING-DIFFMAP [BACKEND]
# BACKEND: cuda unless given. A PETSc that was built with CUDA gives vectors of the GPU, too. Exit code 1: other eigenvalues.
set -euo pipefail
program=${1:?usage: run_maps.sh FLASHRING-DIFFMAP [BACKEND]}
backend=${2:-cuda}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Open MPI asks for these where it runs as root, and for more ranks than cores.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1

# map NAME OPTIONS...: its eigenvalues, a line each, go to NAME.
map() {
  local name=$1
  shift
  mpirun -n 2 "$program" -generate random_torus:n=1500,seed=3 -nev 6 -output "$folder/$name.map" "$@" >"$folder/said"
  cat "$folder/said"
  awk '/residual\/gap/ {table = 1; next} table && NF == 0 {exit} table {print $2}' "$folder/said" >"$folder/$name"
}

# Residuals of eigenpairs are 1e-8 of the eigenvalues at most.
same() {
  paste "$folder/ref" "$folder/$1" | awk -v name="$1" '
    {d = $1 - $2; if (d < 0) d = -d; if (NF != 2 || d > 2e-8) wrong = 1}
    END {if (wrong || NR != 6) {print name ": FAILED, not the eigenvalues of ref"; exit 1}
         print name ": ok, " NR " eigenvalues"}'
}

map ref -backend ref
map host_vectors -backend "$backend" -share_devices
same host_vectors
if [ "$backend" = cuda ] && grep -Eq '"device_copy_bytes": 0(\.0)?,' "$folder/host_vectors.map/report.json"; then
  echo 'FAILED: nothing went to a GPU'
  exit 1
fi
petsc=$(ldd "$program" "$(ldd "$program" | awk '/libflashring/ {print $3; exit}')" | awk '/libpetsc/ {print $3; exit}')
if grep -q VecCreateSeqCUDA "$petsc"; then
  map device_vectors -backend "$backend" -share_devices -mat_vec_type cuda
  same device_vectors
fi
