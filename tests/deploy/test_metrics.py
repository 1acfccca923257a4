"""The dashboard, the alerts and the autoscaling ask for metrics that there are."""

import json
import re
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.chart import CHART, ROOT, find, render
from tests.photographs import file_of, photograph
from tests.server import Server

DASHBOARD = CHART / "dashboards" / "upscale.json"
# Prometheus' own, and what Triton adds where there is a GPU (its documentation: GPU Metrics).
ELSEWHERE = {"up", "nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"}
FUNCTIONS = {
    "sum",
    "rate",
    "increase",
    "count",
    "max_over_time",
    "resets",
    "vector",
    "histogram_quantile",
    "by",
    "and",
    "on",
    "or",
}


def metrics_in(query: str) -> set[str]:
    """The names of metrics in PromQL: words that are no function, keyword, label or number."""
    bare = re.sub(r'"[^"]*"', "", query)  # values
    bare = re.sub(r"\{[^}]*\}", "", bare)  # matchers
    bare = re.sub(r"\bby \([^)]*\)", "", bare)  # labels
    bare = re.sub(r"\[[^\]]*\]", "", bare)  # ranges
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*", bare)) - FUNCTIONS


def panels() -> list[dict[str, Any]]:
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]


def queries() -> dict[str, str]:
    """By whose they are."""
    found = {f"panel {p['title']} {t['refId']}": t["expr"] for p in panels() for t in p["targets"]}
    objects = render(
        monitoring={"prometheusRule": {"enabled": True}}, triton={"autoscaling": {"enabled": True}}
    )
    for group in find(objects, "PrometheusRule")["spec"]["groups"]:
        found |= {f"alert {rule['alert']}": rule["expr"] for rule in group["rules"]}
    for trigger in find(objects, "ScaledObject")["spec"]["triggers"]:
        found[f"trigger {trigger['name']}"] = trigger["metadata"]["query"]
    hpa = render(triton={"autoscaling": {"enabled": True, "kind": "hpa"}})
    for metric in find(hpa, "HorizontalPodAutoscaler", "triton")["spec"]["metrics"]:
        found["hpa " + metric["pods"]["metric"]["name"]] = metric["pods"]["metric"]["name"]
    return found


def test_the_names_are_found_in_a_query() -> None:
    query = 'sum by (le, part) (rate(a_total{status=~"5..",x="y"}[5m])) / 1e6 > 0.75 * count(b)'
    assert metrics_in(query) == {"a_total", "b"}


def test_every_query_names_metrics_that_a_server_exposes(server: Server) -> None:
    image = file_of(photograph("rocket", 16, 16))
    server.upscale(image, num_inference_steps=2)
    texts = (server.get("/metrics").text, httpx.get(server.metrics_url, trust_env=False).text)
    exposed = {
        name
        for text in texts
        for family in text_string_to_metric_families(text)
        # A counter with labels shows no sample before its first count.
        for name in (
            family.name,
            f"{family.name}_total",
            *(sample.name for sample in family.samples),
        )
    }
    for owner, query in queries().items():
        names = metrics_in(query)
        assert names, owner
        assert names <= exposed | ELSEWHERE, f"{owner}: {names - exposed}"


def test_labels_are_those_that_the_metrics_have(server: Server) -> None:
    """Of the processes', and those that a scrape adds."""
    texts = (server.get("/metrics").text, httpx.get(server.metrics_url, trust_env=False).text)
    labels = {
        label
        for text in texts
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for label in sample.labels
    } | {"namespace", "service", "pod", "job", "gpu_uuid"}
    for owner, query in queries().items():
        used = set(re.findall(r'(\w+)=~?"|(\w+)!=?"', query))
        grouped = re.findall(r"\bby \(([^)]*)\)", query)
        names = {a or b for a, b in used} | {n.strip() for g in grouped for n in g.split(",")}
        assert names <= labels, owner


def test_one_box_gives_the_labels_that_the_dashboard_asks_for() -> None:
    path = ROOT / "docker" / "prometheus" / "prometheus.yaml"
    jobs = yaml.safe_load(path.read_text())["scrape_configs"]
    assert {job["job_name"] for job in jobs} == {"gateway", "triton"}
    for job in jobs:
        assert set(job["static_configs"][0]["labels"]) == {"namespace", "pod"}
    for query in (target["expr"] for panel in panels() for target in panel["targets"]):
        assert "service=" not in query


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(t["datasource"]["uid"] == "${datasource}" for t in panel["targets"])
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_alerts_say_what_to_do_and_know_the_release() -> None:
    objects = render(
        monitoring={"prometheusRule": {"enabled": True, "slowSeconds": 90}},
        gateway={"settings": {"MAX_WAITING": 7}},
    )
    rules = find(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]
    expressions = {rule["alert"]: rule["expr"] for rule in rules}
    for rule in rules:
        assert len(rule["annotations"]["description"]) > 50
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert 'namespace="ai"' in rule["expr"]
        assert re.search('service="up-upscale-(gateway|triton)"', rule["expr"])
    assert "0.75 * 7 *" in expressions["UpscaleQueueIsLong"]
    assert expressions["UpscaleSlow"].endswith("> 90")
