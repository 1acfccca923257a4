"""What a step cache saves, what it holds, and how far pictures go from those without.

`python -m benchmarks.step_cache` times calls of the x4 upscaler's UNet in full size, with random
weights, in PyTorch on the CPU: whole ones and those of its outermost blocks in turn, in seconds of
processors, so that other work on the machine counts little. An image is so many of each; the law
beside it counts operations alone. `--demo` draws pictures of the demo model by diffusers' pipeline
at every interval and, where the package DeepCache is installed, by that too. docs/step-cache.md has
both.
"""

import copy
import importlib
import importlib.util
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import StableDiffusionUpscalePipeline, UNet2DConditionModel
from numpy.typing import NDArray
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.full_size import unet_config
from benchmarks.photograph import photograph
from export.step_cache import CachingUNet, ShallowUNet, step_cache_of
from stages.step_cache import StepCache, full_calls, is_full

DEMO = Path(__file__).parents[1] / "demo" / "model"
INTERVALS = (1, 2, 3, 5)
GUIDED_ROWS, TOKENS = 2, 77
console = Console(width=200)


def split_of(unet: Any, branch: int) -> tuple[StepCache, CachingUNet, ShallowUNet]:
    """Both parts of a UNet, which share its weights."""
    with torch.device("meta"):
        empty = UNet2DConditionModel.from_config(unet.config)
    cache = step_cache_of(empty, branch)
    shared = {id(tensor): tensor for tensor in [*unet.parameters(), *unet.buffers()]}
    return cache, CachingUNet(unet, cache), ShallowUNet(copy.deepcopy(unet, shared), cache)


@torch.no_grad()
def time_calls(branch: int, side: int, rounds: int, divisor: int) -> None:
    """Print the table of the full-size architecture. side: of a row's latents."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**unet_config(divisor)).eval()
    cache, whole, shallow = split_of(unet, branch)
    inputs = {
        "sample": torch.randn(1, unet.config.in_channels, side, side),
        "timestep": torch.tensor([[500.0]]),
        "encoder_hidden_states": torch.randn(1, TOKENS, unet.config.cross_attention_dim),
        "class_labels": torch.tensor([[20]]),
    }
    took: dict[str, list[float]] = {"whole": [], "shallow": []}
    with FlopCounterMode(display=False) as whole_counts:
        feature = whole(**inputs)[1]
    with FlopCounterMode(display=False) as shallow_counts:
        shallow(**inputs, deep_feature=feature)
    teraflop = whole_counts.get_total_flops() / 1e12
    cost = shallow_counts.get_total_flops() / whole_counts.get_total_flops()
    for _ in range(rounds):
        began = time.process_time()
        feature = whole(**inputs)[1]
        between = time.process_time()
        shallow(**inputs, deep_feature=feature)
        took["whole"].append(between - began)
        took["shallow"].append(time.process_time() - between)
    whole_s, shallow_s = (statistics.median(times) for times in took.values())
    feature_mb = GUIDED_ROWS * cache.feature_bytes(side, side) / 1e6
    console.print(
        f"{cache}\n{rounds} rounds of a row of {side} x {side} latents, {torch.get_num_threads()}"
        f" threads: whole {whole_s:.2f} s, shallow {shallow_s:.3f} s, {shallow_s / whole_s:.4f} of"
        f" it, by operations {cost:.4f}. A guided job keeps {feature_mb:.1f} MB."
    )
    console.print("| steps | `step_cache` | TFLOP | seconds | times faster | by operations |")
    console.print("|---|---|---|---|---|---|")
    for steps in (20, 50, 75):
        for interval in INTERVALS:
            full = full_calls(steps, interval)
            by_law = full + cost * (steps - full)
            seconds = GUIDED_ROWS * (full * whole_s + (steps - full) * shallow_s)
            faster = GUIDED_ROWS * steps * whole_s / seconds
            console.print(
                f"| {steps} | {interval} | {GUIDED_ROWS * by_law * teraflop:.1f} | {seconds:.0f}"
                f" | {faster:.2f} | {steps / by_law:.2f} |"
            )


@contextmanager
def reusing(unet: Any, parts: tuple[CachingUNet, ShallowUNet], interval: int, calls: int) -> Any:
    """A pipeline's UNet as the server calls it with a `step_cache`, once a step."""
    whole, shallow = parts
    feature, call, own = None, 0, unet.forward

    def forward(
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        class_labels: torch.Tensor,
        **_: Any,
    ) -> tuple[torch.Tensor]:
        nonlocal feature, call
        inputs = {
            "sample": sample,
            "timestep": timestep.float().expand(len(sample))[:, None],
            "encoder_hidden_states": encoder_hidden_states,
            "class_labels": class_labels[:, None],
        }
        if is_full(call, calls, interval):
            out_sample, feature = whole(**inputs)
        else:
            out_sample = shallow(**inputs, deep_feature=feature)
        call += 1
        return (out_sample,)

    unet.forward = forward
    try:
        yield
    finally:
        unet.forward = own


@contextmanager
def by_package(pipeline: Any, interval: int) -> Iterator[None]:
    """The same by its authors' package."""
    helper = importlib.import_module("DeepCache").DeepCacheSDHelper(pipe=pipeline)
    helper.set_params(cache_interval=interval, cache_branch_id=0)
    helper.enable()
    try:
        yield
    finally:
        helper.disable()


def drawn(pipeline: Any, steps: int, side: int, seed: int) -> NDArray[np.int16]:
    """The picture of a photograph, RGB [4 side, 4 side, 3]."""
    output = pipeline(
        prompt="a photo",
        image=photograph(None, side, side),
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
    )
    return np.asarray(output.images[0]).astype(np.int16)


def compare_pictures(side: int, seeds: int, model: Path = DEMO) -> None:
    """Print how far pictures of a model are from those without a step cache, in levels of 255."""
    pipeline = StableDiffusionUpscalePipeline.from_pretrained(model, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    cache, whole, shallow = split_of(copy.deepcopy(pipeline.unet), 0)
    console.print(f"{cache}\n| steps | `step_cache` | mean | largest | PSNR, dB | DeepCache's |")
    console.print("|---|---|---|---|---|---|")
    has_package = importlib.util.find_spec("DeepCache") is not None
    for steps in (16, 31):  # the last is whole by every interval of 31, as the package wants it
        plain = [drawn(pipeline, steps, side, seed) for seed in range(seeds)]
        for interval in INTERVALS[1:]:
            apart, largest, package = [], 0, 0
            for seed, expected in enumerate(plain):
                with reusing(pipeline.unet, (whole, shallow), interval, steps):
                    found = drawn(pipeline, steps, side, seed)
                apart.append(np.abs(found - expected).astype(np.float64))
                largest = max(largest, int(apart[-1].max()))
                if has_package and (steps - 1) % interval == 0:
                    with by_package(pipeline, interval):
                        other = drawn(pipeline, steps, side, seed)
                    package = max(package, int(np.abs(found - other).max()))
            errors = np.stack(apart)
            psnr = 10 * np.log10(255**2 / np.mean(errors**2))
            seen = has_package and (steps - 1) % interval == 0
            console.print(
                f"| {steps} | {interval} | {errors.mean():.2f} | {largest} | {psnr:.1f}"
                f" | {f'{package} apart' if seen else ''} |"
            )


def main(
    demo: Annotated[bool, typer.Option("--demo", help="Pictures of the demo model.")] = False,
    branch: Annotated[int, typer.Option(help="DeepCache's cache_branch_id.")] = 0,
    side: Annotated[int, typer.Option(help="Of the latents, as of the image.")] = 128,
    rounds: Annotated[int, typer.Option(help="Calls of each kind; pictures of each row.")] = 3,
    divisor: Annotated[int, typer.Option(help="For a try: fewer channels, so many times.")] = 1,
) -> None:
    """Print one of two tables."""
    if demo:
        compare_pictures(side, rounds)
    else:
        time_calls(branch, side, rounds, divisor)


if __name__ == "__main__":
    typer.run(main)
