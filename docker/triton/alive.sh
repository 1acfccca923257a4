#!/bin/sh
# Kubernetes' liveness probe of Triton: alive.sh URL. URL is the /readyz of the gateway beside it, which
# tries pictures: only after it has seen one does it say ERROR for a Triton that makes none. One that
# loads, and a gateway that is away, is no reason to start Triton again.
case $(curl --silent --max-time 4 "$1") in
*'"ERROR"'*) exit 1 ;;
esac
