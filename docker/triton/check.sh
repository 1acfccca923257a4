#!/bin/sh
# Compose's health check of Triton: check.sh URL PID. URL is the gateway's /readyz, which tells whether
# pictures are really made; Triton's own word stays "ready" over a stage that stands still.
#
# Docker does not restart what is unhealthy. So once Triton has served and then fails, watch.py, which
# is PID, gets SIGQUIT: it ends Triton at once, as one that stands still would take its whole time, and
# Docker starts the container again. A gateway that is away, or that has seen no picture yet, is none
# of Triton's fault.
served=${SERVED_FILE:-/tmp/served}
case $(curl --silent --max-time 4 "$1") in
*'"OK"'*)
    touch "$served"
    exit 0
    ;;
*'"ERROR"'*)
    if [ -e "$served" ]; then
        rm "$served"
        kill -s QUIT "$2"
    fi
    ;;
esac
exit 1
