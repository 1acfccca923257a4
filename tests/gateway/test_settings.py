from pathlib import Path

import pytest

from gateway.settings import ConfigurationError, Settings

README = Path(__file__).parents[2] / "README.md"


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


def test_the_readme_names_every_setting_and_its_default() -> None:
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `")]
    documented = {row.split("|")[1].strip(" `"): row.split("|")[2].strip(" `") for row in rows}
    for name, setting in Settings.model_fields.items():
        default = (
            "unset"
            if setting.default is None
            else f"{setting.default:g}"
            if isinstance(setting.default, float)
            else str(setting.default)
        )
        assert documented[name.upper()] == default
