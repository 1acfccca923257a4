#!/bin/sh
# Export into MODEL_REPOSITORY unless it is there already; the arguments are those of `upscale export`
# without --output and --revision, which is REVISION's unless that is empty, as for a local folder.
# `upscale export` itself writes it whole or not at all. Of several that start at once, on one volume,
# one works and the others wait for it.
set -eu
: "${MODEL_REPOSITORY:?names the folder to write, like /models/x4-upscaler-1}"
if [ ! -f "$MODEL_REPOSITORY/manifest.json" ]; then
    exec 9>"$MODEL_REPOSITORY.lock"
    flock 9
fi
if [ -f "$MODEL_REPOSITORY/manifest.json" ]; then
    echo "$MODEL_REPOSITORY is there already; nothing to do."
    exit 0
fi
if [ -n "${REVISION:-}" ]; then
    set -- --revision "$REVISION" "$@"
fi
exec python3 -m cli export --output "$MODEL_REPOSITORY" "$@"
