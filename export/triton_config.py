"""Triton's config.pbtxt, read and written."""

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig


def read_config(path: Path) -> ModelConfig:
    """Parse a config.pbtxt."""
    return text_format.Parse(path.read_text(), ModelConfig())


def write_config(path: Path, config: ModelConfig) -> None:
    """Write a config.pbtxt."""
    path.write_text(text_format.MessageToString(config))
