"""What a server says of itself and of pictures that it has not made: GET /model, POST /estimate."""

import math
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from client.errors import ServerUnusable
from gateway.schemas import Estimate, Model, Version

TIMEOUT_S = 10.0

Answer = TypeVar("Answer", bound=BaseModel)


class ServerDescription:
    """Asks a server by its URL; everything raises ServerUnusable."""

    def __init__(self, url: str, http: httpx.Client | None = None) -> None:
        self._url = url.rstrip("/")
        self._http = http or httpx.Client(timeout=TIMEOUT_S)

    def model(self) -> Model:
        """The served model and the server's limits."""
        return self._as(Model, self._ask("GET", "/model"))

    def version(self) -> Version:
        """Pipeline and version."""
        return self._as(Version, self._ask("GET", "/version"))

    def gpu_info(self) -> dict[str, dict[str, Any]]:
        """By index, as ai-runner has them; empty without a GPU."""
        found: dict[str, dict[str, Any]] = self._ask("GET", "/hardware/info").get("gpu_info", {})
        return found

    def estimate(self, width: int, height: int, **fields: Any) -> Estimate:
        """What a picture will cost. fields: num_inference_steps and so on, as for /upscale."""
        return self._as(
            Estimate,
            self._ask("POST", "/estimate", {"width": width, "height": height, **fields}),
        )

    def max_pixels(self, model: Model) -> int:
        """Width times height of the largest square that it has pixels and memory for."""
        taken, refused = 0, math.isqrt(model.max_input_pixels) + 1
        side = refused - 1  # the largest first: as a rule it fits
        while refused - taken > 1:
            estimate = self.estimate(side, side, num_inference_steps=1)
            if "insufficient capacity" in (estimate.reason or ""):
                raise ServerUnusable("The server is busy; ask again when it is not.")
            taken, refused = (side, refused) if estimate.accepted else (taken, side)
            side = (taken + refused) // 2
        return taken**2

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, f"{self._url}{path}", json=body)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ServerUnusable(f"{self._url}{path} cannot be asked: {error}") from error
        return found

    def _as(self, kind: type[Answer], body: dict[str, Any]) -> Answer:
        try:
            return kind.model_validate(body)
        except ValidationError as error:
            raise ServerUnusable(f"{self._url} is no server of this version: {error}") from error
