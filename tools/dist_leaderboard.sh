#!/usr/bin/env bash
# Make a leaderboard with several processes: dist_leaderboard.sh GPUS LIST
# [arguments of leaderboard.py]. Across machines: NNODES, NODE_RANK,
# MASTER_ADDR, PORT.
set -euo pipefail

if [[ $# -lt 2 ]]; then
    echo "usage: $0 GPUS LIST [arguments of leaderboard.py]" >&2
    exit 2
fi
gpus=$1
shift

here="$(cd "$(dirname "$0")" && pwd)"
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" \
    -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$here/leaderboard.py" "$@" --launcher pytorch
