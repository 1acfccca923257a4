"""Where the page's browser may find results."""

import pytest

from gateway.routes.page import result_sources
from gateway.settings import Settings


@pytest.mark.parametrize(
    ("environment", "sources"),
    [
        ({}, []),
        ({"MEDIA": "local"}, []),
        ({"MEDIA": "local", "MEDIA_URL": "https://x.example/up"}, ["https://x.example"]),
        ({"MEDIA": "s3://x"}, ["https://*.amazonaws.com"]),
        ({"MEDIA": "s3://x", "AWS_ENDPOINT_URL": "http://minio:9000/x"}, ["http://minio:9000"]),
    ],
)
def test_sources_are_those_of_the_store(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sources: list[str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert result_sources(Settings.from_environment()) == sources


def test_nothing_but_the_settings_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_environment(media="s3://x", aws_endpoint_url="http://minio:9000")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://other:9000")
    assert result_sources(settings) == ["http://minio:9000"]
