#!/bin/sh
# Compose's health check of Triton: check.sh URL PID. URL is the gateway's /readyz, which tells whether
# pictures are really made; Triton's own word stays "ready" over a dead stage.
#
# Docker does not restart what is unhealthy. So once Triton has served and then fails, its process PID
# gets SIGTERM, and Docker starts the container again. A gateway that is away, or that has seen no
# picture yet, is none of Triton's fault.
served=${SERVED_FILE:-/tmp/served}
case $(curl --silent --max-time 4 "$1") in
*'"OK"'*)
    touch "$served"
    exit 0
    ;;
*'"ERROR"'*)
    if [ -e "$served" ]; then
        rm "$served"
        kill -s TERM "$2"
    fi
    ;;
esac
exit 1
