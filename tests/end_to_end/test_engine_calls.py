"""What a request costs, in counts: they do not depend on the machine."""

from tests.photographs import file_of, photograph
from tests.server import Server

STEPS = 7
ENGINES = ("text_encoder", "unet", "vae_decoder", "safety_checker")


def test_a_request_calls_the_unet_once_a_step_and_every_other_engine_once(server: Server) -> None:
    before = {engine: server.counts(engine) for engine in ENGINES}
    server.upscale(file_of(photograph("cat", 48, 64)), num_inference_steps=STEPS, guidance_scale=9)
    made = {
        engine: tuple(b - a for a, b in zip(before[engine], server.counts(engine), strict=True))
        for engine in ENGINES
    }
    assert made == {  # rows, executions
        "text_encoder": (2, 1),
        "unet": (2 * STEPS, STEPS),
        "vae_decoder": (1, 1),
        "safety_checker": (1, 1),
    }
