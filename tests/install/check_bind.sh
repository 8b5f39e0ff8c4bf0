#!/usr/bin/env bash
# cluster/bind.sh under mpirun on this machine, and on machines that are made up (lscpu and taskset replaced).
# usage: check_bind.sh SOURCE_FOLDER MPIEXEC NUMPROC_FLAG
set -euo pipefail
bind=$1/cluster/bind.sh mpiexec=$2 flag=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'check_bind: %s\n' "$*" >&2; exit 1; }

# Here: two ranks get different cores where there are two, and the program's own exit code and arguments come through.
"$mpiexec" "$flag" 2 "$bind" sh -c 'taskset -cp $$' | sed 's/.*: //' | sort >"$work/here"
if [ "$(nproc)" -ge 2 ] && [ "$(lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l)" -ge 2 ]; then
  [ "$(uniq "$work/here" | wc -l)" -eq 2 ] || fail "two ranks share cores: $(cat "$work/here")"
fi
status=0
"$bind" sh -c '[ "$1" = "two words" ] && exit 7' sh 'two words' || status=$?
[ "$status" -eq 7 ] || fail "exit code $status instead of 7"

# A machine of 2 sockets, 4 NUMA nodes, 8 third-level caches, 32 cores with 2 hardware threads each; processors 0-31 are
# the first threads, and the cores of a cache are not numbered one after the other.
cat >"$work/lscpu" <<'SCRIPT'
#!/bin/sh
echo '# CPU,Core,Socket,Node,,L1d,L1i,L2,L3'
for cpu in $(seq 0 63); do
  core=$((cpu % 32))
  echo "$cpu,$core,$((core % 8 / 4)),$((core % 8 / 2)),,$core,$core,$core,$((core % 8))"
done
SCRIPT
cat >"$work/taskset" <<'SCRIPT'
#!/bin/sh
if [ "$1" = -cp ]; then echo "pid $2's current affinity list: $FAKE_MASK"; else echo "$2"; fi
SCRIPT
chmod +x "$work/lscpu" "$work/taskset"
program=(program)
# cores MASK EXPECTED VARIABLE=VALUE...: what bind.sh binds to
cores() {
  local mask=$1 expected=$2 got
  shift 2
  got=$(env -u OMPI_COMM_WORLD_LOCAL_RANK -u CUDA_VISIBLE_DEVICES PATH="$work:$PATH" FAKE_MASK="$mask" \
    FLASHRING_BIND_DEVICES="$work/none" "$@" "$bind" "${program[@]}")
  [ "$got" = "$expected" ] || fail "mask $mask, $*: bound to $got instead of $expected"
}
# One rank per cache.
cores 0-63 0,8,16,24 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=8
cores 0-63 7,15,23,31 OMPI_COMM_WORLD_LOCAL_RANK=7 OMPI_COMM_WORLD_LOCAL_SIZE=8
# One rank per socket: whole caches. MPICH's names.
cores 0-63 4,12,20,28,5,13,21,29,6,14,22,30,7,15,23,31 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2
# Slurm's names; the third node has 4 tasks.
cores 0-63 2,10,18,26,3,11,19,27 SLURM_LOCALID=1 SLURM_NODEID=2 'SLURM_STEP_TASKS_PER_NODE=8(x2),4'
# A part of the machine, a list with gaps and strides, numbers that do not divide.
cores 0-7,32-39 4,5,6,7 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2
cores 0-6:3,8 0,8,3,6 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1
cores 0-7 2,3,4 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=3
# More ranks than cores; no launcher at all.
cores 0-1 0 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=4
cores 0-1 1 OMPI_COMM_WORLD_LOCAL_RANK=3 OMPI_COMM_WORLD_LOCAL_SIZE=4
cores 5 5
# 4 GPUs at the NUMA nodes 3, 3, 0 and 1, and a network card of the same vendor; nvidia-smi names them with long domains.
cat >"$work/nvidia-smi" <<'SCRIPT'
#!/bin/sh
gpus='00000000:0A:00.0 00000000:1B:00.0 00000000:2C:00.0 00000000:3D:00.0'
[ "$1" = -i ] || { printf '%s\n' $gpus; exit; }
case $2 in
  [0-3]) echo "$gpus" | cut -d' ' -f$(($2 + 1)) ;;
  GPU-c) echo 00000000:2C:00.0 ;;
  0*) echo "$2" ;;
  *) echo 'No devices were found'; exit 6 ;;
esac
SCRIPT
chmod +x "$work/nvidia-smi"
# device ADDRESS VENDOR CLASS NODE
device() {
  mkdir -p "$work/devices/$1"
  echo "$2" >"$work/devices/$1/vendor"
  echo "$3" >"$work/devices/$1/class"
  echo "$4" >"$work/devices/$1/numa_node"
}
device 0000:0a:00.0 0x10de 0x030200 3
device 0000:0b:00.0 0x10de 0x020000 3
device 0000:1b:00.0 0x10de 0x030200 3
device 0000:2c:00.0 0x10de 0x030200 0
device 0000:3d:00.0 0x10de 0x030200 1
# gpu_cores RANK RANKS EXPECTED VARIABLE=VALUE...
gpu_cores() {
  local rank=$1 ranks=$2 expected=$3
  shift 3
  cores 0-63 "$expected" FLASHRING_BIND_DEVICES="$work/devices" OMPI_COMM_WORLD_LOCAL_RANK="$rank" \
    OMPI_COMM_WORLD_LOCAL_SIZE="$ranks" "$@"
}
# Nodes have 8 cores: two GPUs at node 3 halve them, the others have a node each.
gpu_cores 0 4 6,14,22,30
gpu_cores 1 4 7,15,23,31
gpu_cores 2 4 0,8,16,24,1,9,17,25
gpu_cores 3 4 2,10,18,26,3,11,19,27
# All shown in another order, by name; then each rank shown its own GPU alone.
gpu_cores 0 4 2,10,18,26,3,11,19,27 CUDA_VISIBLE_DEVICES=3,GPU-c,1,0
gpu_cores 1 4 0,8,16,24,1,9,17,25 CUDA_VISIBLE_DEVICES=3,GPU-c,1,0
gpu_cores 3 4 7,15,23,31 CUDA_VISIBLE_DEVICES=1
# Not one rank for each GPU, no GPU shown, a part of one, or no node known: by cores alone.
gpu_cores 1 2 4,12,20,28,5,13,21,29,6,14,22,30,7,15,23,31
gpu_cores 0 4 0,8,16,24,1,9,17,25 CUDA_VISIBLE_DEVICES=
gpu_cores 0 4 0,8,16,24,1,9,17,25 CUDA_VISIBLE_DEVICES=MIG-1
# Two GPUs shown to four ranks; a run on processors.
gpu_cores 1 4 2,10,18,26,3,11,19,27 CUDA_VISIBLE_DEVICES=0,1
program=(program -backend simd:avx2 -n 5)
gpu_cores 1 4 2,10,18,26,3,11,19,27
program=(program)
# All ranks decide alike where one GPU has no node.
echo -1 >"$work/devices/0000:0a:00.0/numa_node"
gpu_cores 0 4 0,8,16,24,1,9,17,25
gpu_cores 2 4 4,12,20,28,5,13,21,29
# A node has fewer cores of this job than GPUs.
echo 3 >"$work/devices/0000:0a:00.0/numa_node"
cores 0-1,8-9 8 FLASHRING_BIND_DEVICES="$work/devices" OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=4
echo 'check_bind: all is well'
