#!/bin/sh
# Remove from the gateway's packages what it never uses: trim.sh SITE-PACKAGES. The symbols for
# debuggers are two extensions' (30 MB); other wheels' libraries are laid out so that strip may break
# them.
set -eu
cd "$1"
strip --strip-debug ml_dtypes/*.so rapidjson*.so
rm cv2/data/*.xml
# Colours of source code; typer and structlog do without, where they are told or see it.
rm -r pygments pygments-*.dist-info
find . -type d -name tests -prune -exec rm -r {} +
find . -name '*.pyi' -delete
