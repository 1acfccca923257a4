# `upscale export` with the TensorRT of Triton's release: a plan runs on no other version. From the
# repository's root:
#   docker build -f docker/export.Dockerfile -t upscale-export:0.1.0 \
#     --build-arg TENSORRT_DIGEST=@sha256:... .
# The tag is that of docker/triton.Dockerfile, of the same month.
ARG PYTHON_TAG=3.12-slim-bookworm
ARG TENSORRT_TAG=26.07-py3
ARG TENSORRT_DIGEST=

FROM python:${PYTHON_TAG} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY docker/requirements-export.txt docker/
# PyTorch without the CUDA libraries that the container has.
RUN python -m pip install --no-deps --require-hashes --target /opt/export \
    -r docker/requirements-export.txt

FROM nvcr.io/nvidia/tensorrt:${TENSORRT_TAG}${TENSORRT_DIGEST}
# Fails where the container lacks the entrypoint below.
RUN ["test", "-x", "/opt/nvidia/nvidia_entrypoint.sh"]
COPY --from=build /opt/export /opt/export
WORKDIR /app
COPY pyproject.toml ./
COPY cli cli
COPY client client
COPY doctor doctor
COPY export export
COPY stages stages
COPY gateway gateway
COPY model_repository model_repository
COPY docker/export.sh /opt/upscale/export.sh
ENV PYTHONPATH=/app:/opt/export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
ENV ORT_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_TELEMETRY=1
# Fails where the container lacks a library of PyTorch's.
RUN ["python3", "-c", "import torch"]
USER 10001:10001
# NVIDIA's own first: see docker/triton.Dockerfile.
ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh", "/opt/upscale/export.sh"]
