"""Which schedulers a repository serves, and what a step of each takes; nothing here needs torch."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from stages.errors import InvalidRequest

# diffusers' class names without "Scheduler". An export offers those of them that its checkpoint's
# configuration fits, after the checkpoint's own, which may be another.
NAMES = (
    "DDIM",
    "EulerDiscrete",
    "PNDM",
    "LMSDiscrete",
    "DPMSolverMultistep",
    "UniPCMultistep",
    "DEISMultistep",
)


@dataclass(frozen=True)
class Scheduler:
    """One that is served.

    history: how many earlier steps a step looks back on, at most. extra_calls: of the UNet, beyond
    one a step; those of a single step are never more than one.
    """

    name: str
    history: int = 0
    extra_calls: int = 0

    def calls(self, num_inference_steps: int) -> int:
        """Of the UNet, for a picture of one tile."""
        return num_inference_steps + (self.extra_calls if num_inference_steps > 1 else 0)


DDIM = Scheduler("DDIM")


@dataclass(frozen=True)
class Schedulers:
    """Those of a repository: its checkpoint's own first, which is taken where none is named."""

    served: tuple[Scheduler, ...]

    @property
    def own(self) -> Scheduler:
        return self.served[0]

    @property
    def names(self) -> list[str]:
        return [scheduler.name for scheduler in self.served]

    def named(self, name: str) -> Scheduler:
        """The one of a name, the checkpoint's own for "". Raises InvalidRequest for any other."""
        if not name:
            return self.own
        for scheduler in self.served:
            if scheduler.name == name:
                return scheduler
        raise InvalidRequest(f"scheduler is {name[:100]}; this model has {', '.join(self.names)}.")


def schedulers_text(served: Iterable[Scheduler]) -> str:
    """As a parameter of a config.pbtxt."""
    return json.dumps([asdict(scheduler) for scheduler in served])


def read_schedulers(text: str) -> Schedulers:
    """What `schedulers_text` wrote. Raises ValueError or TypeError for anything else."""
    return Schedulers(tuple(Scheduler(**entry) for entry in json.loads(text)))
