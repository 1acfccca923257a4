"""Every gate of the chart on and off, each object held against Kubernetes, bad values refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.chart import CHART, NAMESPACE, check, helm, names, render

EXAMPLES = sorted(CHART.glob("values*.yaml"))
ON = {"enabled": True}
OFF = {"enabled": False}
ALWAYS = {
    "ConfigMap gateway",
    "Deployment gateway",
    "Deployment triton",
    "Pod test",
    "Service gateway",
    "Service triton",
}
CLAIM = {"PersistentVolumeClaim models"}
DEFAULT = (
    ALWAYS
    | CLAIM
    | {
        "ServiceAccount",
        "NetworkPolicy gateway",
        "NetworkPolicy triton",
        "PodDisruptionBudget gateway",
        "PodDisruptionBudget triton",
    }
)
SCALING: dict[str, Any] = {"enabled": True, "minReplicas": 1, "maxReplicas": 3}
# Values, the objects that they add to the default ones and those that they take away.
GATES: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "nothing": ({}, set(), set()),
    "secret made": (
        {"secret": {"values": {"AUTH_TOKEN": "t", "HF_TOKEN": "h"}}},
        {"Secret"},
        set(),
    ),
    "secret existing": (
        {"secret": {"existing": "mine", "keys": ["AUTH_TOKEN", "HF_TOKEN"]}},
        set(),
        set(),
    ),
    "gateway scales": (
        {"gateway": {"autoscaling": ON}},
        {"HorizontalPodAutoscaler gateway"},
        set(),
    ),
    "triton scales by keda": ({"triton": {"autoscaling": SCALING}}, {"ScaledObject triton"}, set()),
    "triton scales by hpa": (
        {"triton": {"autoscaling": {**SCALING, "kind": "hpa"}}},
        {"HorizontalPodAutoscaler triton"},
        set(),
    ),
    "no budgets": (
        {"gateway": {"podDisruptionBudget": OFF}, "triton": {"podDisruptionBudget": OFF}},
        set(),
        {"PodDisruptionBudget gateway", "PodDisruptionBudget triton"},
    ),
    "ingress": ({"ingress": {**ON, "host": "a.example.org"}}, {"Ingress"}, set()),
    "ingress of another class, with TLS": (
        {"ingress": {**ON, "host": "a.example.org", "className": "traefik", "tlsSecret": "tls"}},
        {"Ingress"},
        set(),
    ),
    "route of the Gateway API": (
        {"httpRoute": {**ON, "parentRefs": [{"name": "public"}], "hostnames": ["a.example.org"]}},
        {"HTTPRoute"},
        set(),
    ),
    "existing claim": (
        {"models": {"source": "claim", "claim": {"existing": "models"}}},
        set(),
        CLAIM,
    ),
    "export into an existing claim": (
        {"models": {"claim": {"existing": "models", "storageClass": "nfs"}}},
        set(),
        CLAIM,
    ),
    "object store": (
        {"models": {"source": "objectStore", "objectStore": {"url": "s3://models/x4"}}},
        set(),
        CLAIM,
    ),
    "no account": ({"serviceAccount": {"create": False}}, set(), {"ServiceAccount"}),
    "no policies": (
        {"networkPolicy": OFF},
        set(),
        {"NetworkPolicy gateway", "NetworkPolicy triton"},
    ),
    "policies with peers": (
        {
            "networkPolicy": {
                "gatewayFrom": [{"podSelector": {}}],
                "prometheusFrom": [],
                "gatewayEgress": [{"ports": [{"port": 4317}]}],
                "tritonEgress": [{"ports": [{"port": 4318}]}],
            },
            "gateway": {"settings": {"MEDIA": "s3://pictures"}},
            "aws": {"region": "eu-central-1", "endpointUrl": "http://minio:9000"},
        },
        set(),
        set(),
    ),
    "monitors": (
        {"monitoring": {"serviceMonitor": ON}},
        {"ServiceMonitor gateway", "ServiceMonitor triton"},
        set(),
    ),
    "rules": ({"monitoring": {"prometheusRule": ON}}, {"PrometheusRule"}, set()),
    "dashboard": ({"monitoring": {"dashboard": ON}}, {"ConfigMap dashboard"}, set()),
    "placed": (
        {
            "imagePullSecrets": [{"name": "registry"}],
            "gateway": {
                "nodeSelector": {"a": "b"},
                "tolerations": [{"operator": "Exists"}],
                "affinity": {"nodeAffinity": {}},
                "priorityClassName": "high",
                "topologySpread": OFF,
                "extraEnv": [{"name": "A", "value": "b"}],
                "podAnnotations": {"a": "b"},
                "podLabels": {"a": "b"},
                "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
            },
            "triton": {
                "runtimeClassName": "nvidia",
                "extraArgs": ["--log-verbose=1"],
                "extraEnv": [{"name": "A", "value": "b"}],
                "topologySpread": OFF,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            },
            "models": {
                "export": {
                    "revision": "abc",
                    "safetyChecker": "none",
                    "extraArgs": ["-x"],
                    "extraEnv": [{"name": "A", "value": "b"}],
                }
            },
        },
        set(),
        set(),
    ),
    "on the CPU": (
        {"triton": {"gpu": {"count": 0}}},
        set(),
        set(),
    ),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_adds_and_takes_away_what_it_says(gate: str) -> None:
    values, added, removed = GATES[gate]
    objects = render(**values)
    assert names(objects) == (DEFAULT | added) - removed
    for document in objects:
        check(document)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_render_and_lint(example: Path) -> None:
    values = yaml.safe_load(example.read_text())
    for document in render(**values):
        check(document)
    result = helm("lint", "--strict", str(CHART), values=values)
    assert result.returncode == 0, result.stdout


def test_what_kubernetes_would_not_take_is_seen() -> None:
    """The checks above do bite."""
    deployment = next(o for o in render() if o["kind"] == "Deployment")
    deployment["spec"]["replica"] = 2
    with pytest.raises(AssertionError, match="replica"):
        check(deployment)
    monitors = render(monitoring={"serviceMonitor": ON})
    monitor = next(o for o in monitors if o["kind"] == "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["ports"] = "http"
    with pytest.raises(AssertionError, match="ports"):
        check(monitor)


def test_every_object_is_named_and_labelled_after_its_release() -> None:
    for document in render(**yaml.safe_load((CHART / "values-prod.yaml").read_text())):
        metadata = document["metadata"]
        assert metadata["name"].startswith("up-upscale")
        assert metadata["labels"]["app.kubernetes.io/instance"] == "up"
        assert len(metadata["name"]) <= 63


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gatway": {}}, "Additional property gatway is not allowed"),
        ({"gateway": {"settings": {"MAX_WAITNG": 1}}}, "property MAX_WAITNG is not allowed"),
        ({"gateway": {"settings": {"MAX_WAITING": -1}}}, "Must be greater than or equal to 0"),
        ({"gateway": {"settings": {"MAX_BODY_BYTES": "10 MB"}}}, "MAX_BODY_BYTES: Invalid type"),
        ({"gateway": {"settings": {"MEDIA": "local"}}}, "MEDIA: Does not match pattern"),
        ({"gateway": {"settings": {"ERROR_PROFILE": "aws"}}}, '"livepeer", "http"'),
        ({"ingress": {"enabled": True}}, "host: String length must be greater than or equal to 1"),
        ({"httpRoute": {"enabled": True}}, "parentRefs: Array must have at least 1 items"),
        ({"models": {"source": "disk"}}, '"claim", "export", "objectStore"'),
        ({"models": {"source": "claim"}}, "existing: String length"),
        ({"models": {"source": "objectStore"}}, "url: String length"),
        ({"models": {"name": "../x"}}, "name: Does not match pattern"),
        ({"secret": {"existing": "mine"}}, "keys: Array must have at least 1 items"),
        ({"secret": {"keys": ["AUTH_TOKEN"]}}, "keys: Array must have at most 0 items"),
        ({"secret": {"values": {"TOKEN": "t"}}}, "property TOKEN is not allowed"),
        ({"triton": {"strategy": {"type": "Surge"}}}, '"Recreate", "RollingUpdate"'),
        ({"triton": {"image": {"digest": "abc"}}}, "digest: Does not match pattern"),
        ({"triton": {"sharedMemory": "2 GB"}}, "sharedMemory: Does not match pattern"),
    ],
)
def test_bad_values_are_refused_with_their_place(values: dict[str, Any], words: str) -> None:
    result = helm("template", "up", str(CHART), "-n", NAMESPACE, values=values)
    assert result.returncode != 0
    assert words in result.stderr


def test_values_yaml_has_every_value_of_the_schema() -> None:
    """So that it is the whole documentation of what can be set."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    free = {"global", "settings", "values", "rollingUpdate", "requests", "limits"}

    def compare(part: dict[str, Any], here: Any, path: str) -> None:
        if "$ref" in part:
            part = schema["definitions"][part["$ref"].rsplit("/", 1)[1]]
        for key, below in part.get("properties", {}).items():
            if key in free or not isinstance(here, dict) or part.get("type") != "object":
                continue
            assert key in here, f"values.yaml has no {path}{key}"
            compare(below, here[key], f"{path}{key}.")

    compare(schema, values, "")


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ({}, ("service/up-upscale-gateway 8000:80", "Nobody is asked", "Pin a commit"), "https"),
        (
            {
                "secret": {"existing": "mine", "keys": ["AUTH_TOKEN"]},
                "ingress": {**ON, "host": "a.example.org", "tlsSecret": "tls"},
                "models": {"export": {"revision": "abc"}},
            },
            ("Upscale at https://a.example.org/upscale.",),
            "Nobody is asked",
        ),
    ],
)
def test_the_notes_say_what_is_next(
    tmp_path: Path, values: dict[str, Any], said: tuple[str, ...], unsaid: str
) -> None:
    """`helm template` leaves them out, so they are rendered inside of a ConfigMap."""
    chart = tmp_path / "upscale"
    shutil.copytree(CHART, chart)
    notes = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "_notes.tpl").write_text(f'{{{{ define "notes" }}}}{notes}{{{{ end }}}}')
    document = '{kind: Notes, text: {{ include "notes" . | toJson }}}'
    (chart / "templates" / "notes.yaml").write_text(document)
    result = helm("template", "up", str(chart), "-s", "templates/notes.yaml", values=values)
    text = yaml.safe_load(result.stdout)["text"]
    assert "helm -n default test up" in text
    assert all(words in text for words in said), text
    assert unsaid not in text
