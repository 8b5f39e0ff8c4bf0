#!/usr/bin/env bash
# Gives each rank its share of the cores of its machine, then becomes the program:
#   mpirun -n 8 --bind-to none cluster/bind.sh flashring-diffmap -points x.npy
#   srun -n 8 --cpu-bind=none cluster/bind.sh flashring-diffmap -points x.npy
# The launcher must not bind (as above): the cores that this process may use are taken to be those of all local ranks.
# Cores are ordered by socket, NUMA node and third-level cache and cut into equal consecutive parts, so a rank gets
# whole domains where the numbers allow it. One hardware thread per core. FLASHRING_BIND_SHOW=1 prints who gets what.
# With one rank for each GPU of the machine, a rank gets its share of the cores of the NUMA node that its GPU is at.
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

# The GPU of this rank as a PCI address such as 0000:17:00.0: the programs take them in turn by local rank, in the order of
# these addresses. Nothing where there is none, or it has another kind of name (a part of a GPU).
gpu_of_rank() {
  local -a shown
  if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    IFS=, read -ra shown <<<"$CUDA_VISIBLE_DEVICES"
  else
    mapfile -t shown < <(nvidia-smi --query-gpu=pci.bus_id --format=csv,noheader 2>/dev/null)
  fi
  [ ${#shown[@]} -eq 1 ] || [ ${#shown[@]} -ge "$ranks" ] || return 0 # ranks would share
  nvidia-smi -i "${shown[rank % ${#shown[@]}]}" --query-gpu=pci.bus_id --format=csv,noheader 2>/dev/null |
    tail -c 13 | tr A-F a-f || true
}

# Processors of the affinity mask as "0,1,2,8,9,".
allowed=
list=$(taskset -cp $$)
for range in $(tr ',' ' ' <<<"${list##*: }"); do
  # Ranges may come with a stride, such as 0-6:2.
  IFS='-:' read -r from to stride <<<"$range"
  allowed+=$(seq -s, "$from" "${stride:-1}" "${to:-$from}"),
done

# One processor per core, neighbours beside each other. The last cache that lscpu lists is the one most cores share.
# With an argument: of that NUMA node alone.
cores_at() {
  lscpu -p=CPU,CORE,SOCKET,NODE,CACHE | grep -v '^#' |
    awk -F, -v allowed=",$allowed" -v node="${1:-}" 'index(allowed, "," $1 ",") && (node == "" || $4 == node) && !seen[$3, $2]++ {
      caches = split($NF, cache, ":")
      print $3 + 0, $4 + 0, (NF > 4 ? cache[caches] + 0 : 0), $2, $1 }' |
    sort -n -k1,1 -k2,2 -k3,3 -k4,4 | awk '{ print $5 }'
}

# Sets node, at which the GPU of this rank is, and how many GPUs are there (parts), this one being number `part`; or nothing.
# All of it follows from the machine, so that all ranks decide alike: there is one rank for each GPU, every GPU is at a node,
# and every such node has a core for each of its GPUs. All GPUs are counted, as launchers show each rank its own alone.
find_node_of_gpu() {
  local devices=${FLASHRING_BIND_DEVICES:-/sys/bus/pci/devices} gpu device at here count=0 mine=0
  local -A at_node=()
  gpu=$(gpu_of_rank)
  [ -n "$gpu" ] && [ -r "$devices/$gpu/numa_node" ] || return 0
  at=$(<"$devices/$gpu/numa_node")
  for device in "$devices"/*; do
    # Display controllers of NVIDIA.
    [[ "$(cat "$device/vendor" "$device/class" 2>/dev/null)" == 0x10de$'\n'0x03* ]] || continue
    here=$(<"$device/numa_node")
    [ "$here" -ge 0 ] || return 0
    [ "${device##*/}" != "$gpu" ] || mine=${at_node[$here]:-0}
    at_node[$here]=$((${at_node[$here]:-0} + 1))
    count=$((count + 1))
  done
  [ "$count" -eq "$ranks" ] || return 0
  for here in "${!at_node[@]}"; do
    [ "$(cores_at "$here" | wc -l)" -ge "${at_node[$here]}" ] || return 0
  done
  node=$at part=$mine parts=${at_node[$at]}
}
node='' part=$rank parts=$ranks
# A run that names a backend of processors wants all of their cores.
if command -v nvidia-smi >/dev/null && [[ " $* " != *' -backend '@(simd|ref|amx)[\ :]* ]]; then
  export CUDA_DEVICE_ORDER=${CUDA_DEVICE_ORDER:-PCI_BUS_ID}
  find_node_of_gpu
fi
mapfile -t cores < <(cores_at "$node")
count=${#cores[@]}
if [ "$count" -eq 0 ]; then exec "$@"; fi # no topology to be had: leave everything as it is

first=$((part * count / parts))
last=$(((part + 1) * count / parts))
[ "$last" -gt "$first" ] || last=$((first + 1)) # more ranks than cores
mine=$(IFS=,; echo "${cores[*]:first:last-first}")
if [ -n "${FLASHRING_BIND_SHOW:-}" ]; then echo "bind.sh: $(hostname) local rank $rank of $ranks: cores $mine" >&2; fi
export OMP_PROC_BIND=${OMP_PROC_BIND:-close} OMP_PLACES=${OMP_PLACES:-threads} # threads stay on their core
exec taskset -c "$mine" "$@"
