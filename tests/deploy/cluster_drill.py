"""`make cluster-test`: the chart in the cluster of KUBECONFIG, with the images of `make images`.

One node gets one piece of an extended resource in the place of a GPU. The demo model is exported in
the cluster, served, tested, replaced by another folder while there is one GPU only, rolled back,
and removed. REGISTRY is one that this machine may push to and the nodes pull from, like
registry:5000. For a person, not pytest's default run.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tests.deploy.bases import nvidia_base
from tests.deploy.chart import CHART, HELM
from tests.deploy.containers import Containers
from tests.deploy.dockerfile import ROOT

NAMESPACE = "upscale-drill"
GPU = "example.com/gpu"
SMALL = {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}


def values(registry: str, name: str) -> dict[str, object]:
    """Of a release that serves the demo model under a name, on one piece of the resource."""
    images = {
        part: {"repository": f"{registry}/upscale-{part}"}
        for part in ("gateway", "triton", "export")
    }
    return {
        "gateway": {"image": images["gateway"], "resources": SMALL, "replicas": 2},
        "triton": {
            "image": images["triton"],
            "gpu": {"resource": GPU, "count": 1},
            "resources": SMALL,
            "tolerations": [],
        },
        "models": {
            "name": name,
            "claim": {"accessModes": ["ReadWriteOnce"], "size": "2Gi"},
            "export": {
                "image": images["export"],
                "model": "/checkpoint",
                "scratchSize": "2Gi",
                "resources": SMALL,
            },
        },
    }


def push(registry: str) -> None:
    """The three images; that of the export has the demo model in it."""
    containers = Containers()
    nvidia_base(containers)
    for name in ("gateway", "triton", "export"):
        image = containers.build(name)
        if name == "export":
            containers.layer(image, image, (ROOT / "demo" / "model", "/checkpoint"))
        target = f"docker://{registry}/upscale-{name}:0.1.0"
        containers.run("buildah", "push", "--tls-verify=false", image, target)


def offer_gpu() -> None:
    """One piece, on the first node alone."""
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    path = "/status/capacity/" + GPU.replace("/", "~1")
    patch = json.dumps([{"op": "add", "path": path, "value": "1"}])
    options = ("--subresource=status", "--type=json", f"--patch={patch}")
    kubectl("patch", "node", nodes[0]["metadata"]["name"], *options)


def kubectl(*words: str) -> str:
    return run("kubectl", *words)


def helm(*words: str) -> str:
    return run(str(HELM), *words, "--namespace", NAMESPACE)


def run(*command: str) -> str:
    sys.stdout.write(f"$ {' '.join(command)}\n")
    sys.stdout.flush()
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    for name in ("KUBECONFIG", "REGISTRY"):
        assert os.environ.get(name), f"{name} is not set; this needs a cluster and a registry."
    registry = os.environ["REGISTRY"]
    push(registry)
    offer_gpu()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("demo-1", "demo-2"):
            (Path(folder) / name).write_text(yaml.safe_dump(values(registry, name)))
        wait = ("--wait", "--timeout", "30m")
        try:
            make = ("--create-namespace", "--values", f"{folder}/demo-1")
            helm("install", "up", str(CHART), *make, *wait)
            helm("test", "up", "--logs")
            # The new pod has the GPU only once the old one is gone, and exports only then.
            helm("upgrade", "up", str(CHART), "--values", f"{folder}/demo-2", *wait)
            helm("test", "up", "--logs")
            helm("rollback", "up", *wait)
            helm("test", "up", "--logs")
        finally:
            helm("uninstall", "up", "--wait")
            kubectl("delete", "namespace", NAMESPACE)
    sys.stdout.write("Installed, tested, upgraded, rolled back and removed.\n")


if __name__ == "__main__":
    main()
