"""What an operator relies on in the rendered objects."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import Settings
from tests.deploy.chart import CHART, Object, find, helm, pod_of, render
from tests.deploy.dockerfile import DOCKER

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SECRET = {"existing": "mine", "keys": ["AUTH_TOKEN", "AWS_ACCESS_KEY_ID", "HF_TOKEN"]}
STORE = {"source": "objectStore", "objectStore": {"url": "s3://models/x4"}}
# Settings that the chart sets itself, takes from the Secret, or has no use for: MEDIA=local is a
# folder, which several pods do not share.
NOT_VALUES = {
    *("HOST", "PORT", "TRITON_URL", "AUTH_TOKEN", "MEDIA_DIR", "MEDIA_URL", "MEDIA_KEY"),
    *("MEMORY_BUDGET_MB", "AWS_ENDPOINT_URL"),  # Triton's, and of the values' `aws`
    "CORS_ORIGINS",  # of a gateway whose own page is not enough; `gateway.extraEnv` has it
}
KINDS = {"integer": int, "number": float, "string": str}
# Environment of docker/triton/*.sh, export.sh, the stages, the AWS and hub libraries, and the
# client's token in the test.
OTHERS = {
    "MODEL_REPOSITORY",
    "REVISION",
    *("MEMORY_BUDGET_MB", "MAX_TILE", "DECODER_MAX_TILE"),
    "STOP_TIMEOUT_S",
    "DRAIN_TIMEOUT_S",
    "AWS_ACCESS_KEY_ID",
    "AWS_REGION",
    "HF_HOME",
    "HF_TOKEN",
    "UPSCALE_URL",
    "UPSCALE_TOKEN",
}


def everything() -> list[Object]:
    """Renders that have every workload there is."""
    aws = {"region": "eu-central-1"}
    return render(secret=SECRET, aws=aws) + render(secret=SECRET, models=STORE, aws=aws)


def pods(objects: list[Object]) -> list[tuple[str, Object]]:
    workloads = [o for o in objects if o["kind"] in ("Deployment", "Job", "Pod")]
    return [(o["metadata"]["name"], pod_of(o)) for o in workloads]


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_every_pod_is_restricted() -> None:
    """Kubernetes' Pod Security Standard `restricted`, and nothing of the API's in reach."""
    for name, pod in pods(everything()):
        assert pod["automountServiceAccountToken"] is False, name
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"], name
            assert container["resources"]["limits"]["memory"], name
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert "/tmp" in {m["mountPath"] for m in container["volumeMounts"]}  # noqa: S108
            assert mounted <= {volume["name"] for volume in pod["volumes"]}
        assert "hostNetwork" not in pod


def test_the_account_has_no_token() -> None:
    assert find(render(), "ServiceAccount")["automountServiceAccountToken"] is False


def test_settings_of_the_chart_are_settings_of_the_code() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    settings = schema["properties"]["gateway"]["properties"]["settings"]["properties"]
    fields = {
        name.upper(): field
        for name, field in Settings.model_fields.items()
        if not name.startswith("otel_")  # the schema takes them all
    }
    assert set(settings) | NOT_VALUES == set(fields), "a setting is missing in values.schema.json"
    for name, value in VALUES["gateway"]["settings"].items():
        assert value == fields[name].default, f"values.yaml has another default of {name}"
    for name, part in settings.items():
        if "enum" not in part:
            assert fields[name].annotation in (KINDS[part["type"]], int), name


def test_every_variable_is_read_by_somebody() -> None:
    known = {name.upper() for name in Settings.model_fields} | OTHERS
    for document in everything():
        if document["kind"] == "ConfigMap":
            assert set(document["data"]) <= known
    for name, pod in pods(everything()):
        for container in containers(pod):
            assert {entry["name"] for entry in container.get("env", [])} <= known, name


def test_nothing_takes_the_place_of_an_images_entrypoint() -> None:
    """NVIDIA's brings CUDA's forward compatibility; a container's `command` would replace it."""
    ours = {VALUES["triton"]["image"]["repository"]}
    ours.add(VALUES["models"]["export"]["image"]["repository"])
    found = [c for _, pod in pods(everything()) for c in containers(pod)]
    of_nvidia = [c for c in found if c["image"].rpartition(":")[0].rpartition("/")[2] in ours]
    assert {container["name"] for container in of_nvidia} == {"triton", "export"}
    assert not [container["name"] for container in of_nvidia if "command" in container]


def test_triton_gets_the_largest_tiles_that_are_set() -> None:
    def environment(**triton: int) -> dict[str, str]:
        [container, _] = pod_of(find(render(triton=triton), "Deployment", "triton"))["containers"]
        return {entry["name"]: entry.get("value") for entry in container["env"]}

    assert not {"MAX_TILE", "DECODER_MAX_TILE"} & set(environment())
    told = environment(maxTile=512, decoderMaxTile=256)
    assert (told["MAX_TILE"], told["DECODER_MAX_TILE"]) == ("512", "256")
    for value in (32, 100, 2048):
        refused = helm("template", "up", str(CHART), values={"triton": {"maxTile": value}})
        assert "maxTile" in refused.stderr, value


def test_the_configuration_is_one_that_the_gateway_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = find(render(), "ConfigMap", "gateway")["data"]
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    assert settings.max_body_bytes == 10_000_000, "and not 1e+07"
    service = find(render(), "Service", "triton")
    host, port = settings.triton_url.split(":")
    assert host == service["metadata"]["name"]
    assert int(port) in {p["port"] for p in service["spec"]["ports"]}


def test_tokens_come_from_the_secret_and_none_may_be_missing() -> None:
    objects = everything()
    seen = set()
    for _, pod in pods(objects):
        for container in containers(pod):
            for entry in container.get("env", []):
                if reference := entry.get("valueFrom"):
                    assert reference["secretKeyRef"]["name"] == "mine"
                    assert not reference["secretKeyRef"].get("optional")
                    seen.add((container["name"], entry["name"]))
    assert seen == {
        ("gateway", "AUTH_TOKEN"),
        ("gateway", "AWS_ACCESS_KEY_ID"),
        ("health", "AUTH_TOKEN"),
        ("download", "AWS_ACCESS_KEY_ID"),
        ("export", "HF_TOKEN"),
        ("test", "UPSCALE_TOKEN"),
    }
    made = render(secret={"values": {"AUTH_TOKEN": "t", "HF_TOKEN": "h"}})
    secrets = {o["metadata"]["name"]: o["stringData"] for o in made if o["kind"] == "Secret"}
    for _, pod in pods(made):
        for container in containers(pod):
            for entry in container.get("env", []):
                if reference := entry.get("valueFrom"):
                    reference = reference["secretKeyRef"]
                    assert reference["key"] in secrets[reference["name"]]


def test_changed_configuration_and_secrets_start_pods_again() -> None:
    def checksums(**values: Any) -> dict[str, str]:
        template = find(render(**values), "Deployment", "gateway")["spec"]["template"]
        return dict(template["metadata"]["annotations"])

    before = checksums(secret={"values": {"AUTH_TOKEN": "a"}})
    assert checksums(secret={"values": {"AUTH_TOKEN": "a"}}) == before
    other_token = checksums(secret={"values": {"AUTH_TOKEN": "b"}})
    assert other_token["checksum/secret"] != before["checksum/secret"]
    other_setting = checksums(
        secret={"values": {"AUTH_TOKEN": "a"}}, gateway={"settings": {"MAX_WAITING": 1}}
    )
    assert other_setting["checksum/config"] != before["checksum/config"]


def test_selectors_find_the_pods_they_mean() -> None:
    objects = render(monitoring={"serviceMonitor": {"enabled": True}})
    for component in ("gateway", "triton"):
        deployment = find(objects, "Deployment", component)
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= labels
        assert selector["app.kubernetes.io/component"] == component
        service = find(objects, "Service", component)
        assert service["spec"]["selector"] == selector
        budget = find(objects, "PodDisruptionBudget", component)
        assert budget["spec"]["selector"]["matchLabels"] == selector
        policy = find(objects, "NetworkPolicy", component)
        assert policy["spec"]["podSelector"]["matchLabels"] == selector
        spread = pod_of(deployment)["topologySpreadConstraints"][0]
        assert spread["labelSelector"]["matchLabels"] == selector
        monitor = find(objects, "ServiceMonitor", component)["spec"]
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["endpoints"][0]["port"] in {p["name"] for p in service["spec"]["ports"]}
        assert service["metadata"]["labels"][monitor["jobLabel"]] == component


VALUE_SETS: dict[str, dict[str, Any]] = {
    "default": {},
    "store": {"models": STORE},
    "claim": {"models": {"source": "claim", "claim": {"existing": "models"}}},
    "on the CPU": {"triton": {"gpu": {"count": 0}}},
    **{path.name: yaml.safe_load(path.read_text()) for path in sorted(CHART.glob("values-*.yaml"))},
}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_a_probes_port_is_a_name_of_its_own_container_or_a_number_of_the_pod(
    values: dict[str, Any],
) -> None:
    """The kubelet looks a name up in the container that is probed, and nowhere else."""
    probed = 0
    for name, pod in pods(render(**values)):
        numbers = {p["containerPort"] for c in containers(pod) for p in c.get("ports", [])}
        for container in containers(pod):
            names = {port["name"] for port in container.get("ports", [])}
            for probe in (container[kind] for kind in PROBES if kind in container):
                if "httpGet" in probe:
                    port = probe["httpGet"]["port"]
                    assert port in (names if isinstance(port, str) else numbers), name
                    probed += 1
    assert probed == 5  # three of the gateway, two of Triton


def test_services_and_policies_name_ports_that_exist() -> None:
    objects = render()
    for component in ("gateway", "triton"):
        pod = pod_of(find(objects, "Deployment", component))
        ports = {p["name"] for c in pod["containers"] for p in c["ports"]}
        for port in find(objects, "Service", component)["spec"]["ports"]:
            assert port["targetPort"] in ports
        for rule in find(objects, "NetworkPolicy", component)["spec"]["ingress"]:
            assert all(port["port"] in ports for port in rule["ports"])
    assert find(objects, "Service", "triton")["spec"]["clusterIP"] == "None"


def test_ports_are_those_that_the_processes_listen_on() -> None:
    objects = render()
    gateway = pod_of(find(objects, "Deployment", "gateway"))["containers"][0]
    port = find(objects, "ConfigMap", "gateway")["data"]["PORT"]
    assert gateway["ports"][0]["containerPort"] == int(port) == Settings.from_environment().port
    triton, health = pod_of(find(objects, "Deployment", "triton"))["containers"]
    serve = (CHART.parents[1] / "docker" / "triton" / "serve.sh").read_text()
    ports = {p["name"]: p["containerPort"] for p in triton["ports"]}
    assert f"${{GRPC_PORT:-{ports['grpc']}}}" in serve
    assert f"${{METRICS_PORT:-{ports['metrics']}}}" in serve
    environment = {entry["name"]: entry.get("value") for entry in health["env"]}
    assert environment["PORT"] == str(health["ports"][0]["containerPort"])
    assert environment["TRITON_URL"] == f"127.0.0.1:{ports['grpc']}"


def test_probes_ask_for_pictures() -> None:
    objects = render(triton={"startupSeconds": 901})
    gateway = pod_of(find(objects, "Deployment", "gateway"))["containers"][0]
    paths = {
        kind: gateway[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/livez",  # without Triton it lives, or it would be started for ever
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    triton, health = pod_of(find(objects, "Deployment", "triton"))["containers"]
    port = health["ports"][0]["containerPort"]
    for kind in ("startupProbe", "readinessProbe"):
        assert triton[kind]["httpGet"] == {"path": "/readyz", "port": port}
    start = triton["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 901


def test_a_triton_that_stands_still_is_started_again_soon() -> None:
    """It is neither drained nor waited for: what it works on will never end."""
    triton, health = pod_of(find(render(), "Deployment", "triton"))["containers"]
    liveness = triton["livenessProbe"]
    script, url = liveness["exec"]["command"]
    assert (DOCKER / "triton" / Path(script).name).exists()
    assert url == f"http://127.0.0.1:{health['ports'][0]['containerPort']}/readyz"
    seconds = liveness["periodSeconds"] * liveness["failureThreshold"]
    assert seconds + liveness["terminationGracePeriodSeconds"] <= 15


@pytest.mark.parametrize("seconds", [280, 12.5, 900])
def test_grace_periods_outlast_the_longest_request(seconds: float) -> None:
    objects = render(gateway={"settings": {"REQUEST_TIMEOUT_S": seconds}, "preStopSeconds": 20})
    gateway = pod_of(find(objects, "Deployment", "gateway"))
    [sleep, pause] = gateway["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert (sleep, pause) == ("sleep", "20")
    # Without a Triton it stays in its Service for as long as a request may wait for one.
    readiness = gateway["containers"][0]["readinessProbe"]
    waits = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert math.ceil(seconds) - 5 <= waits <= math.ceil(seconds) + 5
    assert gateway["terminationGracePeriodSeconds"] > 20 + math.ceil(seconds)
    triton = pod_of(find(objects, "Deployment", "triton"))
    [command] = triton["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    drain = CHART.parents[1] / "docker" / "triton" / command.rsplit("/", 1)[1]
    assert "QUIET_S:-45" in drain.read_text()
    environment = {e["name"]: e.get("value") for e in triton["containers"][0]["env"]}
    stop = int(environment["STOP_TIMEOUT_S"])
    drained = int(environment["DRAIN_TIMEOUT_S"])
    assert drained >= math.ceil(seconds) + 45
    assert triton["terminationGracePeriodSeconds"] > drained + stop


def test_autoscaled_deployments_name_no_replicas() -> None:
    objects = render()
    assert find(objects, "Deployment", "gateway")["spec"]["replicas"] == 2
    assert find(objects, "Deployment", "triton")["spec"]["replicas"] == 1
    for kind in ("keda", "hpa"):
        scaled = render(
            gateway={"autoscaling": {"enabled": True}},
            triton={"autoscaling": {"enabled": True, "kind": kind}},
        )
        for component in ("gateway", "triton"):
            deployment = find(scaled, "Deployment", component)
            assert "replicas" not in deployment["spec"]
            [scaler] = [
                o
                for o in scaled
                if o["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")
                and o["metadata"]["name"].endswith(component)
            ]
            target = scaler["spec"]["scaleTargetRef"]
            assert target["name"] == deployment["metadata"]["name"]


@pytest.mark.parametrize("path", sorted(CHART.glob("values*.yaml")), ids=lambda path: path.name)
def test_gateways_let_through_what_all_tritons_take(path: Path) -> None:
    values = yaml.safe_load(path.read_text())

    def replicas(component: str, bound: str) -> int:
        """The fewest or most there may be."""
        here, default = values[component], VALUES[component]
        scaling = here.get("autoscaling", default["autoscaling"])
        fixed: int = here.get("replicas", default["replicas"])
        return int(scaling[bound]) if scaling["enabled"] else fixed

    settings = VALUES["gateway"]["settings"] | values["gateway"]["settings"]
    config = (CHART.parents[1] / "model_repository" / "denoise" / "config.pbtxt").read_text()
    [places] = re.findall(r'"max_active" value \{ string_value: "(\d+)"', config)
    let_through = replicas("gateway", "minReplicas") * settings["MAX_IN_PROGRESS"]
    assert let_through >= replicas("triton", "maxReplicas") * int(places)


def test_triton_gets_a_gpu_memory_to_share_and_its_model() -> None:
    objects = render()
    deployment = find(objects, "Deployment", "triton")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    rolling = {"maxSurge": 1, "maxUnavailable": 0}
    for kind, more in (("RollingUpdate", {"rollingUpdate": rolling}), ("Recreate", {})):
        other = render(triton={"strategy": {"type": kind, "rollingUpdate": rolling}})
        strategy = find(other, "Deployment", "triton")["spec"]["strategy"]
        assert strategy == {"type": kind, **more}
    pod = pod_of(deployment)
    triton = pod["containers"][0]
    assert triton["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"name": "shm", "mountPath": "/dev/shm"} in triton["volumeMounts"]  # noqa: S108
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    claim = find(objects, "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == claim
    [export] = pod["initContainers"]
    folders = {
        entry["value"]
        for container in (triton, export)
        for entry in container["env"]
        if entry["name"] == "MODEL_REPOSITORY"
    }
    assert folders == {"/models/x4-upscaler-1"}
    cpu = render(triton={"gpu": {"count": 0}})
    assert "nvidia.com/gpu" not in json.dumps([containers(pod) for _, pod in pods(cpu)])


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_one_gpu_is_enough_for_every_upgrade(values: dict[str, Any]) -> None:
    """Nothing beside a Triton pod asks for a GPU, and hooks run while the old pods have theirs."""
    for document in render(**values):
        if document["kind"] in ("Deployment", "Job", "Pod"):
            asked = [
                container["resources"].get("limits", {}).get("nvidia.com/gpu", 0)
                for container in containers(pod_of(document))
            ]
            is_triton = document["metadata"]["name"].endswith("-triton")
            assert max(asked) <= (1 if is_triton else 0), document["metadata"]["name"]
        hooks = document["metadata"].get("annotations", {}).get("helm.sh/hook", "test")
        assert hooks == "test", f"{document['kind']} waits for nothing, and nothing for it"


def test_the_export_fills_the_folder_that_is_served() -> None:
    export_values = {"revision": "abc", "safetyChecker": "none", "extraArgs": ["--engine", "onnx"]}
    objects = render(
        secret={"values": {"HF_TOKEN": "h"}},
        models={"export": {**export_values, "deadlineSeconds": 5000}},
        triton={"startupSeconds": 1000},
    )
    deployment = find(objects, "Deployment", "triton")
    pod = pod_of(deployment)
    [export], [triton, _] = pod["initContainers"], pod["containers"]
    environment = {entry["name"]: entry.get("value") for entry in export["env"]}
    assert environment["REVISION"] == "abc"
    assert environment["HF_HOME"].startswith("/tmp/")  # noqa: S108
    assert "HF_TOKEN" in environment
    assert "HF_TOKEN" not in {entry["name"] for entry in triton["env"]}
    words = ["--model", "stabilityai/stable-diffusion-x4-upscaler", "--safety-checker", "none"]
    assert export["args"] == [*words, "--engine", "onnx"]
    # Its scratch is large; Triton's /tmp is another.
    assert {"name": "scratch", "mountPath": "/tmp"} in export["volumeMounts"]  # noqa: S108
    mounts = {mount["name"]: mount for mount in triton["volumeMounts"]}
    assert mounts["models"]["readOnly"] is True
    assert deployment["spec"]["progressDeadlineSeconds"] >= 6000
    claim = find(objects, "PersistentVolumeClaim")["metadata"]["annotations"]
    assert claim == {"helm.sh/resource-policy": "keep"}, "models outlive the release"


def test_extra_variables_reach_their_containers() -> None:
    extra = [{"name": "A", "value": "b"}]
    objects = render(
        gateway={"extraEnv": extra},
        triton={"extraEnv": extra},
        models={"export": {"extraEnv": extra}},
    )
    found = {
        container["name"]
        for _, pod in pods(objects)
        for container in containers(pod)
        if extra[0] in container.get("env", [])
    }
    assert found == {"gateway", "triton", "export"}


def test_spreading_counts_one_replica_set() -> None:
    for component in ("gateway", "triton"):
        pod = pod_of(find(render(), "Deployment", component))
        [constraint] = pod["topologySpreadConstraints"]
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]


def test_without_prometheus_there_are_as_many_tritons_as_may_be() -> None:
    scaled = render(triton={"autoscaling": {"enabled": True, "maxReplicas": 5}})
    assert find(scaled, "ScaledObject")["spec"]["fallback"]["replicas"] == 5


def test_the_log_of_a_test_that_passed_can_be_read() -> None:
    annotations = find(render(), "Pod", "test")["metadata"]["annotations"]
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation"


def test_the_download_fills_the_folder_that_is_served() -> None:
    pod = pod_of(find(render(models=STORE), "Deployment", "triton"))
    [download] = pod["initContainers"]
    assert download["args"] == ["download", "s3://models/x4", "--output", "/models/x4-upscaler-1"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert "emptyDir" in volumes["models"]
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["models"] == {"name": "models", "mountPath": "/models", "readOnly": True}


def peers(rule: Object, direction: str) -> set[str]:
    """The components that a rule names; `*` for everybody."""
    if direction not in rule:
        return {"*"}
    return {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        if "podSelector" in peer
        else peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in rule[direction]
    }


def edges(policy: Object) -> set[tuple[str, str, Any]]:
    return {
        (direction, peer, port["port"])
        for direction, key in (("ingress", "from"), ("egress", "to"))
        for rule in policy["spec"].get(direction, [])
        for peer in peers(rule, key)
        for port in rule["ports"]
    }


def test_only_who_must_reaches_whom() -> None:
    objects = render()
    dns = ("egress", "*", 53)
    assert edges(find(objects, "NetworkPolicy", "gateway")) == {
        ("ingress", "*", "http"),
        dns,
        ("egress", "triton", "grpc"),
    }
    triton = {("ingress", "gateway", "grpc"), ("ingress", "monitoring", "metrics")}
    assert edges(find(objects, "NetworkPolicy", "triton")) == triton | {dns, ("egress", "*", 443)}
    closed = VALUE_SETS["claim"]
    assert edges(find(render(**closed), "NetworkPolicy", "triton")) == triton
    traces = {"tritonEgress": [{"ports": [{"port": 4318}]}]}
    traced = render(networkPolicy=traces, **closed)
    assert edges(find(traced, "NetworkPolicy", "triton")) == triton | {("egress", "*", 4318)}
    for policy in (o for o in objects if o["kind"] == "NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"], "so nothing else is open"
    narrow = render(
        networkPolicy={
            "gatewayFrom": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}}}
            ]
        },
        gateway={"settings": {"MEDIA": "s3://pictures"}},
        aws={"endpointUrl": "http://minio:9000"},
        models=STORE,
    )
    assert edges(find(narrow, "NetworkPolicy", "gateway")) == {
        ("ingress", "web", "http"),
        ("ingress", "monitoring", "http"),
        ("ingress", "test", "http"),
        dns,
        ("egress", "triton", "grpc"),
        ("egress", "*", 9000),
    }
    assert ("egress", "*", 9000) in edges(find(narrow, "NetworkPolicy", "triton"))
    nobody = render(networkPolicy={"prometheusFrom": []}, **closed)
    assert edges(find(nobody, "NetworkPolicy", "triton")) == {("ingress", "gateway", "grpc")}


def test_the_ingress_leaves_the_last_word_to_the_gateway() -> None:
    values = {"enabled": True, "host": "a.example.org"}
    settings = {"REQUEST_TIMEOUT_S": 100, "UPLOAD_TIMEOUT_S": 20, "MAX_BODY_BYTES": 50_000_000}
    ingress = find(render(ingress=values, gateway={"settings": settings}), "Ingress")
    prefix = "nginx.ingress.kubernetes.io/"
    annotations = {k.removeprefix(prefix): v for k, v in ingress["metadata"]["annotations"].items()}
    assert int(annotations["proxy-body-size"]) > 50_000_000
    assert int(annotations["proxy-read-timeout"]) > 120
    assert annotations["proxy-buffering"] == annotations["proxy-request-buffering"] == "off"
    [rule] = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = find(render(), "Service", "gateway")
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] == service["spec"]["ports"][0]["name"]


def test_the_route_leaves_the_last_word_to_the_gateway() -> None:
    values = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]}
    settings = {"REQUEST_TIMEOUT_S": 100, "UPLOAD_TIMEOUT_S": 20}
    route = find(render(httpRoute=values, gateway={"settings": settings}), "HTTPRoute")["spec"]
    assert route["parentRefs"] == values["parentRefs"]
    [rule] = route["rules"]
    assert int(rule["timeouts"]["request"].removesuffix("s")) > 120
    service = find(render(), "Service", "gateway")
    [backend] = rule["backendRefs"]
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"] == service["spec"]["ports"][0]["port"]


def test_the_dashboard_is_the_file() -> None:
    objects = render(monitoring={"dashboard": {"enabled": True}})
    dashboard = find(objects, "ConfigMap", "dashboard")
    file = CHART / "dashboards" / "upscale.json"
    assert json.loads(dashboard["data"]["upscale.json"]) == json.loads(file.read_text())
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
