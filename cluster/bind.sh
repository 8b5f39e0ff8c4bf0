#!/usr/bin/env bash
# Gives each rank its share of the cores of its machine, then becomes the program:
#   mpirun -n 8 --bind-to none cluster/bind.sh flashring-diffmap -points x.npy
#   srun -n 8 --cpu-bind=none cluster/bind.sh flashring-diffmap -points x.npy
# The launcher must not bind (as above): the cores that this process may use are taken to be those of all local ranks.
# Cores are ordered by socket, NUMA node and third-level cache and cut into equal consecutive parts, so a rank gets
# whole domains where the numbers allow it. One hardware thread per core. FLASHRING_BIND_SHOW=1 prints who gets what.
set -euo pipefail
[ $# -gt 0 ] || { echo 'usage: bind.sh PROGRAM ARGUMENTS...' >&2; exit 2; }

# Tasks of this node from Slurm's list, such as "4(x2),3" and node 2: 3.
slurm_tasks() {
  local node=${SLURM_NODEID:-0} part times
  for part in ${SLURM_STEP_TASKS_PER_NODE//,/ }; do
    times=1
    if [[ $part =~ ^([0-9]+)\(x([0-9]+)\)$ ]]; then part=${BASH_REMATCH[1]} times=${BASH_REMATCH[2]}; fi
    if [ "$node" -lt "$times" ]; then echo "$part"; return; fi
    node=$((node - times))
  done
}

# Open MPI; MPICH and Intel MPI; MVAPICH; Slurm. Without a launcher: one rank.
if [ -n "${OMPI_COMM_WORLD_LOCAL_RANK:-}" ]; then
  rank=$OMPI_COMM_WORLD_LOCAL_RANK ranks=$OMPI_COMM_WORLD_LOCAL_SIZE
elif [ -n "${MPI_LOCALRANKID:-}" ]; then
  rank=$MPI_LOCALRANKID ranks=$MPI_LOCALNRANKS
elif [ -n "${MV2_COMM_WORLD_LOCAL_RANK:-}" ]; then
  rank=$MV2_COMM_WORLD_LOCAL_RANK ranks=$MV2_COMM_WORLD_LOCAL_SIZE
elif [ -n "${SLURM_LOCALID:-}" ] && [ -n "${SLURM_STEP_TASKS_PER_NODE:-}" ]; then
  rank=$SLURM_LOCALID ranks=$(slurm_tasks)
else
  rank=0 ranks=1
fi

# Processors of the affinity mask as "0,1,2,8,9,".
allowed=
list=$(taskset -cp $$)
for range in $(tr ',' ' ' <<<"${list##*: }"); do
  # Ranges may come with a stride, such as 0-6:2.
  IFS='-:' read -r from to stride <<<"$range"
  allowed+=$(seq -s, "$from" "${stride:-1}" "${to:-$from}"),
done

# One processor per core, neighbours beside each other. The last cache that lscpu lists is the one most cores share.
mapfile -t cores < <(
  lscpu -p=CPU,CORE,SOCKET,NODE,CACHE | grep -v '^#' |
    awk -F, -v allowed=",$allowed" 'index(allowed, "," $1 ",") && !seen[$3, $2]++ {
      caches = split($NF, cache, ":")
      print $3 + 0, $4 + 0, (NF > 4 ? cache[caches] + 0 : 0), $2, $1 }' |
    sort -n -k1,1 -k2,2 -k3,3 -k4,4 | awk '{ print $5 }'
)
count=${#cores[@]}
if [ "$count" -eq 0 ]; then exec "$@"; fi # no topology to be had: leave everything as it is

first=$((rank * count / ranks))
last=$(((rank + 1) * count / ranks))
[ "$last" -gt "$first" ] || last=$((first + 1)) # more ranks than cores
mine=$(IFS=,; echo "${cores[*]:first:last-first}")
if [ -n "${FLASHRING_BIND_SHOW:-}" ]; then echo "bind.sh: $(hostname) local rank $rank of $ranks: cores $mine" >&2; fi
export OMP_PROC_BIND=${OMP_PROC_BIND:-close} OMP_PLACES=${OMP_PLACES:-threads} # threads stay on their core
exec taskset -c "$mine" "$@"
