#!/bin/sh
# Export into MODEL_REPOSITORY unless it is there already; the arguments are those of
# `upscale export` without --output. `upscale export` itself writes it whole or not at all.
set -eu
: "${MODEL_REPOSITORY:?names the folder to write, like /models/x4-upscaler-1}"
if [ -f "$MODEL_REPOSITORY/manifest.json" ]; then
    echo "$MODEL_REPOSITORY is there already; nothing to do."
    exit 0
fi
exec python3 -m cli export --output "$MODEL_REPOSITORY" "$@"
