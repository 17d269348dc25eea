"""What the tests of adapters share: canned replies to their requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from liqheat.exchanges.live import LiveExchange


class Replies:
    """Answers to REST requests by path, or part of it; keeps what was asked."""

    def __init__(self, replies: Mapping[str, Any]) -> None:
        self.replies = dict(replies)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def answer(self, exchange: LiveExchange) -> None:
        """Stand in for all REST hosts of an exchange."""
        for http in exchange._https:
            http.get = self._get  # type: ignore[method-assign]

    async def _get(
        self, path: str, params: Mapping[str, Any] | None = None, *, weight: float = 1.0
    ) -> bytes:
        self.requests.append((path, dict(params or {})))
        reply = self._of(path)
        if callable(reply):
            reply = reply(dict(params or {}))
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, bytes) else msgspec.json.encode(reply)

    def _of(self, path: str) -> Any:
        found = self.replies.get(path)
        if found is None:
            parts = [name for name in self.replies if name in path]
            assert parts, f"nobody answers {path}"
            found = self.replies[max(parts, key=len)]
        return found

    def asked(self, part: str) -> list[dict[str, Any]]:
        """Return the parameters of the requests whose path has ``part`` in it."""
        return [params for path, params in self.requests if part in path]
