"""Recorded liquidations behind a pretended server, for the tests of the page's feed."""

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlparse

HOUR_MS = 3_600_000
PRICE = 100.0


@dataclass
class Tape:
    """What the server has recorded; answers ``/api/v1/liquidations`` as it does."""

    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    rows: list[dict[str, Any]] = field(default_factory=list)
    completeness: dict[str, str | None] = field(default_factory=lambda: {"test": "full"})
    complete: bool = True
    problem: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    def row(self, age_ms: int, usd: float, **change: Any) -> dict[str, Any]:
        facts = {
            "event_ms": self.now_ms - age_ms,
            "instrument": "test:BTCUSDT",
            "position_side": "long",
            "price": PRICE,
            "qty": usd / PRICE,
            "notional_usd": usd,
            "price_kind": "fill",
        }
        return {**facts, **change}

    def add(self, age_ms: int, usd: float, **change: Any) -> None:
        self.rows.append(self.row(age_ms, usd, **change))

    def answer(self, route: Any) -> None:
        asked = {k: v[0] for k, v in parse_qs(urlparse(route.request.url).query).items()}
        self.asked.append(asked)
        if self.problem:
            route.fulfill(
                status=503, json={"status": 503, "title": "Busy", "detail": "busy"}
            )
            return
        until = int(asked.get("until_ms", self.now_ms + 1))
        since = int(asked.get("since_ms", until - 24 * HOUR_MS))
        wanted = asked.get("exchanges", "").split(",")
        rows = sorted(self.rows, key=lambda row: -row["event_ms"])
        rows = [row for row in rows if row["event_ms"] < until]
        if wanted != [""]:
            rows = [r for r in rows if r["instrument"].partition(":")[0] in wanted]
        spans = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "24h": 24 * HOUR_MS}
        totals = {
            name: self._total([r for r in rows if r["event_ms"] >= until - span])
            for name, span in spans.items()
        }
        least = float(asked.get("min_usd", 0))
        found = [r for r in rows if r["event_ms"] >= since and r["notional_usd"] >= least]
        limit = int(asked["limit"])
        facts = {
            "as_of_ms": until, "rows": found[:limit], "more": len(found) > limit,
            "totals": totals, "completeness": self.completeness,
        }  # fmt: skip
        route.fulfill(json=facts)

    def _total(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        usd = {"long": 0.0, "short": 0.0}
        for row in rows:
            usd[row["position_side"]] += row["notional_usd"]
        return {
            "long_usd": usd["long"], "short_usd": usd["short"], "count": len(rows),
            "complete": self.complete,
        }  # fmt: skip
