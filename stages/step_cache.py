"""DeepCache (Ma et al., 2023): between full calls of the UNet only its outermost blocks run.

What its deep part made in the last full call, the deep feature, takes the place of the rest.
Nothing here needs torch.
"""

import json
from dataclasses import asdict, dataclass

from stages.errors import InvalidRequest
from stages.limits import MAX_INFERENCE_STEPS

FEATURE = "deep_feature"  # a tensor of both graphs
FLOAT32_BYTES = 4
NOT_EXPORTED = (
    "this model was exported without a step cache: `upscale export --step-cache 0` writes the"
    " second graph that it needs"
)


@dataclass(frozen=True)
class StepCache:
    """The second graph of a repository, which runs the outermost blocks alone.

    branch: how many blocks these are, as DeepCache's `cache_branch_id`. channels, stride: of the
    deep feature, float32 [channels, h / stride, w / stride] a row of h x w latents. cost: of a row,
    in operations, beside one of the whole UNet's.
    """

    branch: int
    channels: int
    stride: int
    cost: float

    def feature_size(self, height: int, width: int) -> tuple[int, int, int]:
        """Of a row of so many latents."""
        return self.channels, height // self.stride, width // self.stride

    def feature_bytes(self, height: int, width: int) -> int:
        """The same in memory."""
        channels, high, wide = self.feature_size(height, width)
        return FLOAT32_BYTES * channels * high * wide


def is_full(call: int, calls: int, interval: int) -> bool:
    """Whether a call, from 0, of so many for a tile runs the whole UNet; the ends always do."""
    return call % interval == 0 or call == calls - 1


def full_calls(calls: int, interval: int) -> int:
    """Of so many for a tile."""
    return -(-calls // interval) + bool((calls - 1) % interval)


def check_interval(interval: int, step_cache: StepCache | None) -> None:
    """Raise InvalidRequest for a request's `step_cache` that cannot be had of a repository."""
    if not 1 <= interval <= MAX_INFERENCE_STEPS:
        raise InvalidRequest(
            f"step_cache is {interval}; it must be from 1, which is off, to {MAX_INFERENCE_STEPS}."
        )
    if interval > 1 and step_cache is None:
        raise InvalidRequest(f"step_cache is {interval}, and {NOT_EXPORTED}; 1 is off.")


def step_cache_text(step_cache: StepCache) -> str:
    """As a parameter of a config.pbtxt."""
    return json.dumps(asdict(step_cache))


def read_step_cache(text: str | None) -> StepCache | None:
    """What `step_cache_text` wrote; None for None. Raises ValueError or TypeError for else."""
    return None if text is None else StepCache(**json.loads(text))
