"""The chart as Helm renders it, and whether Kubernetes would take the objects."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.deploy.crds import CRDS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "upscale"
HELM = Path(sys.executable).parent / "helm"
NAMESPACE = "ai"
MINORS = ("1.27", "1.32", "1.37")  # the oldest that Chart.yaml allows, one between, the newest
SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"

Object = dict[str, Any]


def helm(*arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    """Run Helm with values on its standard input."""
    return subprocess.run(
        [str(HELM), *arguments, "--values", "-"],
        cwd=ROOT,
        input=yaml.safe_dump(values or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@cache
def _render(values: str) -> str:
    result = helm("template", "up", str(CHART), "-n", NAMESPACE, values=json.loads(values))
    assert result.returncode == 0, result.stderr
    return result.stdout


def render(**values: Any) -> list[Object]:
    """Every object of a release `up` with these values."""
    text = _render(json.dumps(values, sort_keys=True))
    return [document for document in yaml.safe_load_all(text) if document is not None]


def find(objects: list[Object], kind: str, name: str = "") -> Object:
    """The one of its kind whose name ends so."""
    [found] = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(name)]
    return found


def names(objects: list[Object]) -> set[str]:
    """Kind and name of each, without the release's: `Deployment gateway`."""
    return {
        f"{o['kind']} {o['metadata']['name'].removeprefix('up-upscale').lstrip('-')}".rstrip()
        for o in objects
    }


def pod_of(workload: Object) -> Object:
    """The pod's specification of a Deployment, a Job or a Pod."""
    template: Object = workload["spec"].get("template", workload)
    return dict(template["spec"])


def check(document: Object) -> None:
    """Fail unless each minor of Kubernetes, or the custom resource's definition, takes it."""
    for minor in MINORS:
        _check(json.dumps(document, sort_keys=True), minor)


@cache
def _check(document: str, minor: str) -> None:
    thing = json.loads(document)
    validator = _validator(thing["apiVersion"], thing["kind"], minor)
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(thing)]
    assert not errors, f"{thing['kind']} {thing['metadata']['name']} for {minor}: {errors}"


@cache
def _validator(api_version: str, kind: str, minor: str) -> Any:
    if crd := CRDS.get(f"{api_version} {kind}"):
        return jsonschema.Draft202012Validator(crd)
    folder = SCHEMAS / f"v{minor}.0-local-strict"
    group, _, version = api_version.rpartition("/")
    prefix = f"{group.split('.')[0]}-" if group else ""
    schema = json.loads((folder / f"{kind.lower()}-{prefix}{version}.json").read_text())
    return jsonschema.Draft202012Validator(schema, registry=_definitions(folder))


@cache
def _definitions(folder: Path) -> Any:
    path = folder / "_definitions.json"
    resource = Resource.from_contents(
        json.loads(path.read_text()), default_specification=DRAFT202012
    )
    return Registry().with_resource("_definitions.json", resource)
