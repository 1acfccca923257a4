"""A command whose help ends with everything that can be set."""

from typing import Any

from typer.core import TyperCommand


class SettingsCommand(TyperCommand):
    """The command of a server; the settings are those of gateway/settings.py."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        from gateway.settings import Settings

        with formatter.section("Settings, from the environment or the file .env"):
            formatter.write_dl(
                [
                    (name.upper(), f"{field.description}  [{shown(field.default)}]")
                    for name, field in Settings.model_fields.items()
                ]
            )


def shown(default: object) -> str:
    """A default as help and documents have it."""
    if default is None:
        return "unset"
    return f"{default:g}" if isinstance(default, float) else str(default)
