#!/bin/sh
# Start Triton on the repository that MODEL_REPOSITORY names; arguments are added to tritonserver's.
#
# STOP_TIMEOUT_S: how long requests may go on after SIGTERM, seconds.
#
# HTTP is off. The APIs that change the server or map its memory need a key that nobody knows: it is
# random and dies with the process. A model is changed by starting Triton on another folder.
# watch.py runs Triton and ends it when one of its stages has died.
set -eu
: "${MODEL_REPOSITORY:?names a folder that upscale export wrote, like /models/x4-upscaler-1}"
if [ ! -f "$MODEL_REPOSITORY/manifest.json" ]; then
    echo "MODEL_REPOSITORY=$MODEL_REPOSITORY has no manifest.json: no export ended there." >&2
    exit 1
fi
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
exec python3 "$(dirname "$0")/watch.py" tritonserver \
    --model-repository="$MODEL_REPOSITORY" \
    --allow-http=false \
    --grpc-port="${GRPC_PORT:-8001}" \
    --metrics-port="${METRICS_PORT:-8002}" \
    --disable-auto-complete-config \
    --exit-timeout-secs="${STOP_TIMEOUT_S:-300}" \
    --grpc-restricted-protocol="model-repository,shared-memory,logging,trace:admin-key=$key" \
    "$@"
