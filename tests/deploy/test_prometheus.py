"""A real Prometheus reads a running server with Compose's settings; the dashboard asks it."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from embedded.triton import free_port
from tests.deploy.chart import CHART, ROOT, find, render
from tests.photographs import file_of, photograph
from tests.server import HTTP, Server, wait_until

pytestmark = pytest.mark.long


class Prometheus:
    """Debian's, for as long as the test."""

    def __init__(self, server: Server, folder: Path) -> None:
        config = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yaml").read_text())
        config["global"]["scrape_interval"] = "1s"
        targets = {
            "gateway": server.url.removeprefix("http://"),
            "triton": server.metrics_url.removeprefix("http://").removesuffix("/metrics"),
        }
        for job in config["scrape_configs"]:
            job["static_configs"][0]["targets"] = [targets[job["job_name"]]]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        command = shutil.which("prometheus")
        assert command, "prometheus is not on the PATH; Debian has it in the package prometheus."
        self._address = f"127.0.0.1:{free_port()}"
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [
                command,
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self._log.close()

    def is_ready(self) -> bool:
        try:
            return HTTP.get(f"http://{self._address}/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = HTTP.get(f"http://{self._address}/api/v1/query", params={"query": expression})
        assert answer.json()["status"] == "success", answer.text
        return list(answer.json()["data"]["result"])


@pytest.fixture
def prometheus(server: Server, tmp_path: Path) -> Iterator[Prometheus]:
    started = Prometheus(server, tmp_path)
    yield started
    started.stop()


def expressions() -> dict[str, str]:
    """The dashboard's but those of GPUs, which alerts.yaml has; with its variables filled in."""
    panels = json.loads((CHART / "dashboards" / "upscale.json").read_text())["panels"]
    found = {}
    for panel in panels:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$namespace", "compose")
            text = text.replace("$__rate_interval", "1m")
            # Of what is 0 some panels show nothing.
            text = re.sub(r" > 0$", "", text)
            if "nv_gpu" not in text:
                found[f"{panel['title']} {target['refId']}"] = text
    return found


def test_the_dashboards_queries_return_data(prometheus: Prometheus, server: Server) -> None:
    wait_until(prometheus.is_ready, 60)
    wait_until(lambda: len(prometheus.query("up == 1")) == 2, 60)
    image = file_of(photograph("rocket", 16, 16))
    # Until each has been scraped, and has grown between two scrapes.
    missing = expressions()
    assert len(missing) > 15

    def is_complete() -> bool:
        server.upscale(image, num_inference_steps=2)
        for name, expression in list(missing.items()):
            values = [float(sample["value"][1]) for sample in prometheus.query(expression)]
            if not all(map(math.isnan, values)):  # 0 by 0 is NaN
                del missing[name]
        return not missing

    try:
        wait_until(is_complete, 90)
    except AssertionError:
        raise AssertionError(f"no data of {missing}") from None


def test_it_takes_the_alerts_and_none_fires(prometheus: Prometheus, server: Server) -> None:
    """On a server that serves, at the labels that Kubernetes would give."""
    wait_until(prometheus.is_ready, 60)
    wait_until(lambda: len(prometheus.query("up == 1")) == 2, 60)
    server.upscale(file_of(photograph("rocket", 16, 16)), num_inference_steps=2)
    objects = render(monitoring={"prometheusRule": {"enabled": True}})
    for rule in find(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]:
        expression = re.sub(
            r'namespace="ai",service="[a-z-]+"', 'namespace="compose"', rule["expr"]
        )
        if rule["alert"] not in ("UpscaleMakesNoPictures", "UpscaleNeverServed"):  # minutes
            assert prometheus.query(expression) == [], rule["alert"]
