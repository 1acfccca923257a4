"""Prometheus' own promtool takes the alerts, and each fires on its story and on no other."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.chart import find, render

STORIES = Path(__file__).with_name("alerts.yaml")
LOUD = {"monitoring": {"prometheusRule": {"enabled": True}}}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = shutil.which("promtool")
    assert command, "promtool is not on the PATH; Debian has it in the package prometheus."
    return subprocess.run(
        [command, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def rules(**values: Any) -> dict[str, Any]:
    return dict(find(render(**LOUD, **values), "PrometheusRule")["spec"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    shutil.copy(STORIES, tmp_path)
    return tmp_path


@pytest.mark.parametrize("waiting", [56, 0])
def test_promtool_takes_the_rules(tmp_path: Path, waiting: int) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules(gateway={"settings": {"MAX_WAITING": waiting}})))
    result = promtool("check", "rules", path)
    assert result.returncode == 0, result.stderr
    assert "9 rules found" in result.stdout + result.stderr
    assert "duplicate" not in result.stdout + result.stderr


def test_each_alert_fires_on_its_story_alone(folder: Path) -> None:
    result = promtool("test", "rules", folder / STORIES.name)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_a_story_in_which_it_fires() -> None:
    tests = yaml.safe_load(STORIES.read_text())["tests"]
    fired = {
        alert["alertname"]
        for test in tests
        for alert in test.get("alert_rule_test", [])
        if alert.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules()["groups"][0]["rules"]}


def test_a_story_that_is_told_wrong_fails(folder: Path) -> None:
    """promtool does look."""
    path = folder / STORIES.name
    path.write_text(path.read_text().replace("79e9x30", "60e9x30"))
    assert promtool("test", "rules", path).returncode != 0
