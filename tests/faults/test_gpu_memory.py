"""The GPU has no memory left, as the engine tells it."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedded.triton import Triton
from tests.faults.parts import IMAGE
from tests.photographs import file_of, photograph
from tests.server import Gateway, killed, png_of, wait_until
from tests.unet_parameter import set_unet

UNET = Path(__file__).with_name("unet_out_of_memory.py")
LARGE = file_of(photograph("cat", 160, 160))
FAILED = "The upscaling backend failed; try again."


def test_a_call_without_memory_goes_in_parts_and_one_that_never_fits_fails_alone(
    repositories: Callable[[str], Path], tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(repositories("narrow"), repository)
    unet = repository / "unet"
    config = (unet / "config.pbtxt").read_text()
    (unet / "config.pbtxt").write_text(config.replace('"onnxruntime"', '"python"'))
    shutil.copy(UNET, unet / "1" / "model.py")
    set_unet(repository, "bls")
    fields = {"num_inference_steps": 30, "seed": 1}
    with (
        killed(Triton(repository, tmp_path / "log")) as triton,
        Gateway(triton.url, HEALTH_INTERVAL_S="3") as gateway,
        ThreadPoolExecutor(8) as pool,
    ):
        wait_until(lambda: gateway.get("/health").status_code == 200, 120)
        expected = gateway.upscale(IMAGE, **fields)
        answers = list(pool.map(lambda _: gateway.post(IMAGE, **fields), range(8)))
        assert {png_of(answer) for answer in answers} == {expected}, "all of the eight"
        large = gateway.post(LARGE, **fields)
        assert large.status_code == 500
        assert large.json() == {"detail": {"msg": FAILED}}
        assert gateway.upscale(IMAGE, **fields) == expected
        assert gateway.get("/health").status_code == 200
        logged = [line["event"] for line in gateway.log()]
        assert any("[out_of_memory] unet: " in event for event in logged)
        assert not any("CUDA" in event for event in logged)
