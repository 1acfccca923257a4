"""Compose's services, as far as they can be held to their word without Docker."""

import re
from typing import Any

import yaml

from gateway.settings import Settings
from tests.deploy.dockerfile import DOCKER, DOCKERFILES

TEXT = (DOCKER / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DEFAULTS = dict(
    line.split("=", 1)
    for line in (DOCKER / ".env").read_text().splitlines()
    if line and not line.startswith("#")
)
OURS = [name for name, service in SERVICES.items() if "build" in service]


def test_variables_have_defaults_and_defaults_are_used() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", TEXT))
    assert used == set(DEFAULTS) - {"COMPOSE_PROFILES"}


def test_each_profile_has_what_it_takes() -> None:
    for profile in ("gpu", "cpu"):
        running = {
            name: service
            for name, service in SERVICES.items()
            if profile in service.get("profiles", [profile])
        }
        kinds = {name.removesuffix("-cpu") for name in running}
        assert kinds == {"volume", "export", "triton", "gateway", "prometheus", "grafana"}
        assert len(running) == len(kinds)
        for service in running.values():
            assert set(service.get("depends_on", {})) <= set(running)
        devices = {name for name, service in running.items() if "deploy" in service}
        assert devices == ({"triton", "export"} if profile == "gpu" else set())
    assert DEFAULTS["COMPOSE_PROFILES"] == "gpu"


def test_images_are_built_from_files_that_exist() -> None:
    files = {SERVICES[name]["build"]["dockerfile"] for name in OURS}
    assert files == {f"docker/{path.name}" for path in DOCKERFILES}


def test_everything_that_stays_is_hardened() -> None:
    for name, service in SERVICES.items():
        if name == "volume":
            continue
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not re.search(":(latest)?$", service["image"]), name


def test_what_is_mounted_exists_and_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            source = DEFAULTS.get(source.strip("${}"), source)
            if source.startswith("."):
                assert (DOCKER / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_only_the_gateway_is_opened_and_triton_reaches_nobody() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"gateway", "prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        assert all(port.startswith("127.0.0.1:") for port in published[name])
    assert COMPOSE["networks"]["back"] == {"internal": True}
    for name in ("triton", "triton-cpu"):
        assert SERVICES[name]["networks"] == {"back": {"aliases": ["triton"]}}
        assert SERVICES[name]["shm_size"] == "2gb"


def test_the_gateway_gets_settings_that_it_has() -> None:
    environment = SERVICES["gateway"]["environment"]
    assert set(environment) <= {name.upper() for name in Settings.model_fields}
    assert environment["TRITON_URL"] == "triton:8001"


def test_nothing_takes_the_place_of_an_images_entrypoint() -> None:
    """NVIDIA's brings CUDA's forward compatibility; `command` is its arguments."""
    for name in OURS:
        assert "entrypoint" not in SERVICES[name], name
    assert not [name for name in ("triton", "triton-cpu") if "command" in SERVICES[name]]


def test_triton_gets_the_largest_tiles() -> None:
    """Empty, as they are by default, means unset."""
    for name in ("triton", "triton-cpu"):
        environment = SERVICES[name]["environment"]
        for key in ("MAX_TILE", "DECODER_MAX_TILE"):
            assert environment[key] == f"${{{key}:-}}"


def test_an_export_is_of_an_id_or_of_a_folder() -> None:
    """A folder has no revision; export.sh leaves an empty one out."""
    for name in ("export", "export-cpu"):
        service = SERVICES[name]
        assert service["command"] == ["--model", "${MODEL}"]
        assert service["environment"]["REVISION"] == "${REVISION}"
        assert "${CHECKPOINT}:/checkpoint:ro" in service["volumes"]
    assert (DOCKER / DEFAULTS["CHECKPOINT"] / "model_index.json").exists()


def test_the_gateways_health_is_its_own_word() -> None:
    """Not the image's: one in the OCI format has no health check."""
    program = SERVICES["gateway"]["healthcheck"]["test"]
    assert program[:3] == ["CMD", "python", "-c"]
    assert "/readyz" in program[3]
    for path in DOCKERFILES:
        assert "HEALTHCHECK" not in path.read_text(), path.name


def test_compiled_code_may_be_loaded_from_tritons_folder() -> None:
    assert SERVICES["triton"]["tmpfs"] == ["/tmp:exec"]  # noqa: S108


def test_requests_may_end() -> None:
    timeout_s = Settings.from_environment().request_timeout_s
    assert int(SERVICES["gateway"]["stop_grace_period"].rstrip("s")) > timeout_s
    triton = SERVICES["triton"]
    stop = int(triton["environment"]["STOP_TIMEOUT_S"])
    assert timeout_s < stop < int(triton["stop_grace_period"].rstrip("s"))


def test_tritons_health_is_the_gateways_word() -> None:
    for name in ("triton", "triton-cpu"):
        command = SERVICES[name]["healthcheck"]["test"]
        assert command == ["CMD", "/opt/upscale/check.sh", "http://gateway:8000/readyz", "1"]
        assert (DOCKER / "triton" / "check.sh").exists()


def test_grafana_finds_prometheus_and_the_charts_dashboard() -> None:
    provisioning = DOCKER / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((provisioning / "dashboards" / "upscale.yaml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert f"../charts/upscale/dashboards:{path}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/upscale.json"
