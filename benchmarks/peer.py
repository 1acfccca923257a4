"""What the server is compared with: diffusers' pipeline inside an async route of FastAPI.

`python -m benchmarks.peer --port 8001` does what livepeer/ai-runner does for POST /upscale: the
pipeline is called in the event loop, one picture at a time, and the result is a PNG of Pillow's
default level in a data URL. Same weights, float32, the defaults of the model's upscale.json.
"""

import base64
import io
import json
import secrets
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
import uvicorn
from diffusers import StableDiffusionUpscalePipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from fastapi import FastAPI, File, Form, UploadFile
from PIL import Image
from transformers import CLIPImageProcessor

DEMO = Path(__file__).parent.parent / "demo" / "model"


def create_peer(model: Path) -> FastAPI:
    """The application over the checkpoint in a folder, with the safety checker beside it."""
    pipeline = StableDiffusionUpscalePipeline.from_pretrained(
        model, dtype=torch.float32, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    checker = StableDiffusionSafetyChecker.from_pretrained(
        model / "safety_checker", dtype=torch.float32
    )
    processor = CLIPImageProcessor.from_pretrained(model / "feature_extractor")
    defaults: dict[str, Any] = json.loads((model / "upscale.json").read_text())

    def is_nsfw(picture: Image.Image) -> bool:
        pixel_values = processor(picture, return_tensors="pt").pixel_values
        _, flags = checker(images=[np.asarray(picture)], clip_input=pixel_values)
        return bool(flags[0])

    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "OK"}

    @app.post("/upscale")
    async def upscale(
        prompt: Annotated[str, Form()],
        image: Annotated[UploadFile, File()],
        seed: Annotated[int | None, Form()] = None,
        num_inference_steps: Annotated[int, Form()] = defaults["num_inference_steps"],
        safety_check: Annotated[bool, Form()] = True,
    ) -> dict[str, Any]:
        seed = secrets.randbits(32) if seed is None else seed
        picture = pipeline(
            prompt=prompt,
            image=Image.open(image.file).convert("RGB"),
            num_inference_steps=num_inference_steps,
            guidance_scale=defaults["guidance_scale"],
            noise_level=defaults["noise_level"],
            generator=torch.Generator().manual_seed(seed),
        ).images[0]
        nsfw = safety_check and is_nsfw(picture)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        return {"images": [{"url": url, "seed": seed, "nsfw": nsfw}]}

    return app


def main(
    port: Annotated[int, typer.Option(help="On 127.0.0.1.")] = 8001,
    model: Annotated[Path, typer.Option(help="A diffusers folder.")] = DEMO,
) -> None:
    """Serve until it is stopped."""
    uvicorn.run(create_peer(model), port=port, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
