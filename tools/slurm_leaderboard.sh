#!/usr/bin/env bash
# Make a leaderboard on a Slurm cluster: slurm_leaderboard.sh PARTITION
# JOB_NAME LIST [arguments of leaderboard.py]. GPUS, GPUS_PER_NODE,
# CPUS_PER_TASK and SRUN_ARGS say how.
set -euo pipefail

if [[ $# -lt 3 ]]; then
    echo "usage: $0 PARTITION JOB_NAME LIST [...]" >&2
    exit 2
fi
partition=$1
job_name=$2
shift 2

here="$(cd "$(dirname "$0")" && pwd)"
gpus_per_node=${GPUS_PER_NODE:-8}
# Several arguments in one variable: split at blanks on purpose.
read -r -a srun_args <<<"${SRUN_ARGS:-}"
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec srun \
    --partition="$partition" \
    --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "${PYTHON:-python}" -u "$here/leaderboard.py" "$@" --launcher=slurm
