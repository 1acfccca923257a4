"""What the drills ask for exists, where they cannot be run."""

import yaml

from tests.deploy import cluster_drill, compose_drill
from tests.deploy.chart import find, pod_of, render
from tests.deploy.dockerfile import DOCKER


def test_the_clusters_values_are_the_charts() -> None:
    values = cluster_drill.values("registry:5000", "demo-1")
    objects = render(**values)
    pod = pod_of(find(objects, "Deployment", "triton"))
    [export], triton = pod["initContainers"], pod["containers"][0]
    for container in (export, triton):
        assert container["resources"]["limits"][cluster_drill.GPU] == 1
        assert container["image"].startswith("registry:5000/upscale-")
    assert export["args"][:2] == ["--model", "/checkpoint"]


def test_composes_drill_names_its_services() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert set(compose_drill.SERVICES) <= set(compose["services"])
    assert compose["services"]["prometheus"]["image"] in compose_drill.PROMETHEUS
