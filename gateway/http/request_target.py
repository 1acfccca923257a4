"""Request targets in absolute form, `GET http://host/health`, which every server must accept."""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send


class AbsoluteTargets:
    """ASGI middleware: the path and the host of such a target in the place of its own and `Host`.

    https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2: what it names counts, not `Host`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/"):
            scope = _in_origin_form(scope)
        await self._app(scope, receive, send)


def _in_origin_form(scope: Scope) -> Scope:
    try:
        target = urlsplit(scope["path"])
        raw_target = urlsplit(scope["raw_path"].decode("latin-1"))
    except ValueError:  # no address: then it is no path of ours either
        return scope
    if target.scheme.lower() not in ("http", "https") or not raw_target.netloc:
        return scope
    path, raw_path = target.path or "/", raw_target.path or "/"
    changed = {
        **scope,
        "path": path,
        "raw_path": raw_path.encode("latin-1"),
        "headers": list(scope["headers"]),
    }
    MutableHeaders(scope=changed)["host"] = raw_target.netloc
    return changed
