"""One client's connection, with a clock: uvicorn waits for a client as long as that likes."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

CHECK_INTERVAL_S = 0.5


class Connection(H11Protocol):
    """uvicorn's, cut off when it is the client's turn for longer than timeout_s, seconds.

    That is while a request's head is to come, or a body that is refused already, and while sent
    bytes wait for the client to read them: from the last time that it has read some. The body of a
    request that is served has the clock of `Entrance`, its work that of `/upscale`; between
    requests uvicorn's own closes the connection.
    """

    def __init__(self, *arguments: Any, timeout_s: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timeout_s = timeout_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._request = self.cycle
        self._unread = 0  # bytes that waited for the client at the last look
        self._since = self.loop.time()
        self._next_look = self.loop.call_later(CHECK_INTERVAL_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._next_look.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._since = self.loop.time()  # it has read most of what waited
        super().resume_writing()

    def _look(self) -> None:
        unread = self.transport.get_write_buffer_size()
        is_served = self.cycle is not None and not self.cycle.response_complete
        # Between requests: the last body has come whole, and of the next head nothing, not even
        # before the last answer.
        is_kept = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        is_kept = is_kept and self.timeout_keep_alive_task is not None
        is_ours = (is_served or is_kept) and unread == 0
        has_read, self._unread = unread < self._unread, unread
        now = self.loop.time()
        if is_ours or has_read or self.cycle is not self._request:
            self._request, self._since = self.cycle, now
        if now - self._since > self._timeout_s:
            self.transport.abort()
            return
        self._next_look = self.loop.call_later(CHECK_INTERVAL_S, self._look)
