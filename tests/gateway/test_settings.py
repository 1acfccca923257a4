import re
from pathlib import Path

import pytest

from cli.settings_command import shown
from gateway.settings import ConfigurationError, Settings

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "docs" / "settings.md"
DENOISE = ROOT / "model_repository" / "denoise" / "config.pbtxt"
# obstore reads the variables of AWS; ai-runner's are named because they are not read.
OF_OTHERS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "HF_ENDPOINT",  # of the hub's library
    "HTTPS_PROXY",  # the same
    "MODEL_ID",
    "OMP_NUM_THREADS",  # of PyTorch's
    "OTEL_EXPORTER_OTLP_HEADERS",
    "SOAK_S",  # of a test
    "TORCH_BACKEND",  # of make
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
}


def test_defaults_are_read_once_and_frozen() -> None:
    settings = Settings.from_environment()
    assert settings.port == 8000
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("MAX_BODY_BYTES", "-1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("AWS_ENDPOINT_URL", "localhost:9000"),
        ("MEMORY_BUDGET_MB", "512.5"),
        ("MEMORY_BUDGET_MB", "0"),
        ("TRITON_URL", "foo..bar:8001"),
        ("TRITON_URL", f"{'x' * 64}.test:8001"),
        ("TRITON_URL", "triton:65536"),
        ("TRITON_URL", "triton:0"),
        ("HOST", "foo..bar"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    monkeypatch.setenv(key, value)
    with pytest.raises(ConfigurationError, match=f"{key}='{value}'"):
        Settings.from_environment()


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_TOKEN", "")
    assert Settings.from_environment().auth_token is None


def test_the_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_TOKEN", "sesame")
    assert "sesame" not in repr(Settings.from_environment())


def test_the_document_has_every_setting_its_default_and_no_other() -> None:
    table = SETTINGS.read_text().split("\n## Variables\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \| (.+) \|$", table, re.MULTILINE)
    documented = {name: default.strip() for name, default, _ in rows}
    expected = {name.upper(): shown(field.default) for name, field in Settings.model_fields.items()}
    assert documented == expected


def test_the_memory_budget_is_the_one_that_the_stage_has_by_default() -> None:
    of_triton = re.search(r'"memory_budget_mb" .+ "(\d+)"', DENOISE.read_text())
    assert of_triton is not None
    assert Settings.from_environment().memory_budget_mb == int(of_triton[1])


def test_settings_that_documents_name_exist() -> None:
    files = [
        ROOT / "Makefile",
        *ROOT.glob("cli/*.py"),
        *ROOT.glob("stages/*.py"),
        *ROOT.glob("model_repository/*/1/*.py"),
        *ROOT.glob("docker/**/*"),
    ]
    code = "".join(path.read_text() for path in files if path.is_file())
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for name in re.findall(r"\b[A-Z]+(?:_[A-Z0-9]+)+\b", document.read_text()):
            is_setting = name.lower() in Settings.model_fields
            assert is_setting or name in code or name in OF_OTHERS, f"{document}: {name}"
