"""The documents show commands that work and name what there is."""

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli.livepeer import runner
from gateway.livepeer import Runners
from tests.deploy.chart import CHART, HELM, ROOT, render

DOCS = [
    ROOT / "docs" / f"{name}.md"
    for name in ("kubernetes", "one-box", "livepeer", "upgrade", "sizing", "steps")
]


def commands(doc: Path) -> list[list[str]]:
    """The words of every line in its shell blocks, without what the shell puts in."""
    text = re.sub(r"\$\([^)]*\)", "x", doc.read_text())
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


def all_commands() -> list[list[str]]:
    return [words for doc in DOCS for words in commands(doc) if words]


HELM_COMMANDS = [w for w in all_commands() if w[0] == "helm" and w[1] in ("install", "upgrade")]


@pytest.mark.parametrize("words", HELM_COMMANDS, ids=" ".join)
def test_helm_takes_the_commands(words: list[str]) -> None:
    """Rendered, in place of installed; what an upgrade would reuse is the default here."""
    rest = [w for w in words[2:] if w not in ("--install", "--reuse-values")]
    result = subprocess.run(
        [HELM, "template", *rest], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "kind: Deployment" in result.stdout


def test_objects_that_are_named_exist() -> None:
    known = {f"{o['kind'].lower()}/{o['metadata']['name']}" for o in render()}
    named = {
        word
        for words in all_commands()
        for word in words
        if re.fullmatch(r"(job|deployment|service)/\S+", word)
    }
    assert named
    assert named <= known
    claims = {o["metadata"]["name"] for o in render() if o["kind"] == "PersistentVolumeClaim"}
    assert claims == {"up-upscale-models"}
    assert '"claimName":"up-upscale-models"' in (ROOT / "docs" / "upgrade.md").read_text()


def test_variables_of_compose_commands_are_read() -> None:
    compose = (ROOT / "docker" / "compose.yaml").read_text()
    for words in all_commands():
        if "docker" in words and "compose" in words:
            for word in words[: words.index("docker")]:
                name = word.split("=")[0]
                assert name == "COMPOSE_PROFILES" or f"${{{name}}}" in compose, name


def headings(doc: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    found = re.findall(r"^#+ (.+)$", doc.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize(
    "doc", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda path: path.name
)
def test_links_lead_somewhere(doc: Path) -> None:
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", doc.read_text()):
        target = doc.parent / link if link else doc
        assert target.exists(), link
        assert not anchor or anchor in headings(target), f"{link}#{anchor}"


@pytest.mark.parametrize("doc", DOCS, ids=lambda path: path.name)
def test_files_exist(doc: Path) -> None:
    text = doc.read_text()
    for path in re.findall(r"`((?:docker|charts|benchmarks|tests)/[\w./-]+)`", text):
        is_yours = f"/{path}" in (ROOT / ".gitignore").read_text().splitlines()
        assert is_yours or (ROOT / path).exists(), path


@pytest.mark.parametrize("doc", DOCS, ids=lambda path: path.name)
def test_values_that_are_named_exist(doc: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    pattern = (
        r"`((?:gateway|triton|models|monitoring|networkPolicy|secret|aws)(?:\.[A-Za-z_]+)+)[`=]"
    )
    for name in re.findall(pattern, doc.read_text()):
        here = values
        for key in name.split("."):
            assert key in here, name
            here = here[key]


def test_every_alert_is_explained() -> None:
    objects = render(monitoring={"prometheusRule": {"enabled": True}})
    [rules] = [o for o in objects if o["kind"] == "PrometheusRule"]
    alerts = {rule["alert"] for rule in rules["spec"]["groups"][0]["rules"]}
    table = re.findall(r"^\| `(Upscale\w+)`", (ROOT / "docs" / "kubernetes.md").read_text(), re.M)
    assert set(table) == alerts


def test_sizing_shows_what_the_command_prints() -> None:
    text = (ROOT / "docs" / "sizing.md").read_text()
    shown = re.findall(r"\$ (python -m benchmarks\.sizing .*?[^\\])\n(.*?)```", text, re.DOTALL)
    assert shown
    for command, output in shown:
        words = shlex.split(command.replace("\\\n", " "))
        result = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=ROOT,
            env={"COLUMNS": "100", "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.split() == output.split()


def test_the_files_of_a_livepeer_node_are_what_it_takes() -> None:
    text = (ROOT / "docs" / "livepeer.md").read_text()
    runners, models = map(json.loads, re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    assert json.loads(Runners.model_validate(runners).text()) == runners
    assert {"pipeline", "model_id", "url", "token", "capacity", "warm"} <= set(models[0])


def test_livepeers_commands_have_the_options_that_are_shown() -> None:
    shown = [words for words in commands(ROOT / "docs" / "livepeer.md") if "runner" in words]
    assert len(shown) == 2
    known = {f"--{name.replace('_', '-')}" for name in inspect.signature(runner).parameters}
    for words in shown:
        assert {word for word in words[words.index("runner") :] if word[:2] == "--"} <= known
