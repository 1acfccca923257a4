# NVIDIA's Triton and what the Python stages import. From the repository's root:
#   docker build -f docker/triton.Dockerfile -t upscale-triton:0.1.0 \
#     --build-arg TRITON_DIGEST=@sha256:... .
# The digest is that of the tag, as `docker buildx imagetools inspect` shows it; without one the tag
# alone decides.
ARG PYTHON_TAG=3.12-slim-bookworm
ARG TRITON_TAG=26.07-py3
ARG TRITON_DIGEST=

FROM python:${PYTHON_TAG} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY docker/requirements-triton.txt docker/
# A folder of its own, before the container's packages: those stay as NVIDIA tested them.
# PyTorch without the CUDA libraries that the container has, and without its compiler. denoise runs the
# UNet in this ONNX Runtime, whose libraries are among PyTorch's.
RUN python -m pip install --no-deps --require-hashes --target /opt/stages \
    -r docker/requirements-triton.txt

FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG}${TRITON_DIGEST}
# Fails where the container lacks the entrypoint below.
RUN ["test", "-x", "/opt/nvidia/nvidia_entrypoint.sh"]
COPY --from=build /opt/stages /opt/stages
COPY docker/triton /opt/upscale
# Not PYTHONPATH: the stub of Triton 24.10, seen in the wheel's, does not look at it.
COPY docker/stages.pth /usr/local/lib/python3.12/dist-packages/
ENV PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 HOME=/tmp
ENV ORT_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_TELEMETRY=1
# Fails where the container lacks a library of PyTorch's.
RUN ["python3", "-c", "import torch"]
USER 10001:10001
EXPOSE 8001 8002
# NVIDIA's own first: on a driver older than the container it puts CUDA's forward compatibility in
# place, then it becomes what follows.
ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh", "/opt/upscale/serve.sh"]
