"""Whether CUDA graphs can be captured here, and replay what they captured."""

import torch

from doctor.apart import Failed, apart
from doctor.finding import Finding, good, unchecked, wrong

SUBJECT = "CUDA graphs"


def look_at_graphs(device: str) -> Finding:
    """A convolution and a matrix product, captured once and replayed on other numbers."""
    if device == "cpu":
        return unchecked(SUBJECT, "They need a GPU. Run this where there is one.")
    try:
        largest = apart(replay_error, device)
    except Failed as error:
        return wrong(SUBJECT, f"None can be captured on {device}: {error}. Try a newer driver.")
    if largest != 0:
        return wrong(
            SUBJECT, f"A replay differs from a plain call by {largest:.1e}. Try a newer driver."
        )
    return good(SUBJECT, "One was captured, and its replay gave the bytes of a plain call.")


def replay_error(device: str) -> float:
    """The largest difference between a replay and a plain call on the same numbers."""
    with torch.inference_mode(), torch.cuda.device(device):
        given = torch.randn(2, 16, 64, 64, device=device)
        layer = torch.nn.Conv2d(16, 16, 3, padding=1, device=device)

        def work() -> torch.Tensor:
            out: torch.Tensor = layer(given)
            return torch.nn.functional.silu(out.flatten(2) @ out.flatten(2).transpose(1, 2))

        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):  # what is made at a first call is not to be captured
            work()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = work()
        given.copy_(torch.randn_like(given))
        graph.replay()
        return float((captured - work()).abs().max())
