# The gateway alone, without torch and without Triton. From the repository's root:
#   docker build -f docker/gateway.Dockerfile -t upscale-gateway:0.1.0 .
# 300 MB beside Debian and Python, most of it OpenCV (133) and numpy (59).
ARG PYTHON_TAG=3.12-slim-bookworm
ARG PYTHON_DIGEST=
ARG BUILD_TAG=3.12-bookworm

FROM python:${BUILD_TAG} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/upscale
COPY docker/requirements-gateway.txt docker/requirements-build.txt docker/trim.sh docker/
# Not compiled: the bytecode would take 26 MB and saves a second at the start.
RUN /opt/upscale/bin/python -m pip install --no-compile --require-hashes \
    -r docker/requirements-gateway.txt \
    && docker/trim.sh /opt/upscale/lib/python3.12/site-packages
COPY pyproject.toml build_backend.py README.md LICENSE ./
COPY cli cli
COPY client client
COPY export export
COPY gateway gateway
COPY stages stages
# In place, as on a developer's machine: the package needs no more than its version's record. pip and
# setuptools are for this only.
RUN /opt/upscale/bin/python -m pip install --require-hashes -r docker/requirements-build.txt \
    && /opt/upscale/bin/python -m pip install --no-compile --no-deps --no-build-isolation -e . \
    && /opt/upscale/bin/python -m pip uninstall --yes setuptools pip \
    && rm -r docker

FROM python:${PYTHON_TAG}${PYTHON_DIGEST}
COPY --from=build /opt/upscale /opt/upscale
COPY --from=build /app /app
ENV PATH=/opt/upscale/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Plain help: that in colours needs Pygments, 6 MB, which docker/trim.sh removes.
ENV TYPER_USE_RICH=0
# Inside a container 127.0.0.1 is reached by nobody. Uploads above 1 MB pass through /tmp, the only
# folder that has to be writable.
ENV HOST=0.0.0.0 PORT=8000
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["upscale"]
CMD ["gateway"]
