#!/bin/sh
# Wait until Triton has no request left, before it gets SIGTERM: a request is three calls, and a
# Triton that ends refuses the next one. Meanwhile the gateways find out that this one is gone.
#
# METRICS_URL: Triton's metrics. QUIET_S: so long no job has to be seen, seconds; a name server may keep
# the old address for half a minute. DRAIN_TIMEOUT_S: it ends after so long whatever is seen, seconds:
# the numbers of a stage that stands still, or that died, never change.
set -eu
quiet=0
end=$(($(date +%s) + ${DRAIN_TIMEOUT_S:-325}))
while [ "$quiet" -lt "${QUIET_S:-45}" ] && [ "$(date +%s)" -lt "$end" ]; do
    metrics=$(curl --fail --silent --max-time 5 "${METRICS_URL:-http://127.0.0.1:8002/metrics}") || exit 0
    if echo "$metrics" | grep -Eq '^upscale_denoise_jobs\{state="[a-z]+"\} [1-9]'; then
        quiet=0
    else
        quiet=$((quiet + 1))
    fi
    sleep 1
done
