"""The configurations agree with each other."""

import pytest

from export.networks import NETWORKS
from export.repository import SOURCES
from export.triton_config import read_config

ENGINES = [network.name for network in NETWORKS]


def test_denoise_fills_at_most_what_unet_takes() -> None:
    denoise, unet = (read_config(SOURCES / name / "config.pbtxt") for name in ("denoise", "unet"))
    rows = int(denoise.parameters["unet_batch_size"].string_value)
    assert 2 <= rows <= unet.max_batch_size
    assert denoise.instance_group[0].count == 1


@pytest.mark.parametrize("name", ENGINES)
def test_engines_batch(name: str) -> None:
    config = read_config(SOURCES / name / "config.pbtxt")
    assert config.HasField("dynamic_batching")
    assert config.max_batch_size > 1


@pytest.mark.parametrize("name", ENGINES)
def test_on_a_gpu_convolutions_are_chosen_by_rule_and_float32_is_whole(name: str) -> None:
    """By what Triton's own backend reads: a parameters block takes the search from there alone."""
    config = read_config(SOURCES / name / "config.pbtxt")
    assert config.parameters["cudnn_conv_algo_search"].string_value == "1"
    [cuda] = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (cuda.name, dict(cuda.parameters)) == ("cuda", {"use_tf32": "0"})


def test_the_ensembles_tensors_are_those_of_its_stages() -> None:
    """Every tensor of a step exists in the step's model, with the type of what it is bound to."""
    ensemble = read_config(SOURCES / "upscale" / "config.pbtxt")
    types = {tensor.name: tensor.data_type for tensor in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        stage = read_config(SOURCES / step.model_name / "config.pbtxt")
        inputs = {tensor.name: tensor.data_type for tensor in stage.input}
        assert {key: types[value] for key, value in step.input_map.items()} == inputs
        outputs = {tensor.name: tensor.data_type for tensor in stage.output}
        unused = set(outputs) - set(step.output_map)
        told = {"denoise": {"progress", "preview", "max_tile"}, "decode": {"progress"}}
        assert unused == told.get(step.model_name, set())
        types.update({value: outputs[key] for key, value in step.output_map.items()})
    assert {t.name: t.data_type for t in ensemble.output}.items() <= types.items()
