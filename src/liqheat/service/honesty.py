"""What a view says of itself: mode, freshness, exchanges, coverage, and a note for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from liqheat.engine import MODEL_VERSION
from liqheat.errors import LiqheatError
from liqheat.service.feeds import (
    CoverageFlags,
    Entry,
    ExchangeState,
    Status,
)
from liqheat.service.live import LiveView
from liqheat.service.maps import Maps
from liqheat.service.query import Query


class Honesty(Maps):
    """Maps which say what they are made of."""

    def status(self, query: Query, view: LiveView | None) -> Status:
        """Return the state of a view, or of an instrument which cannot be drawn yet."""
        head: dict[str, Any] = {"instrument": query.instrument, "model": query.model,
                "model_version": MODEL_VERSION, "server_ms": self.clock_ms()}  # fmt: skip
        try:
            entries = self.chosen(query)
        except LiqheatError as error:
            return Status(mode=self.catalogue.overall_mode(), note=str(error), **head)
        drawn: dict[str, Any] = {}
        if view is not None:
            head["model"] = view.params.model
            drawn = {
                "step_ms": view.step_ms, "columns": view.columns,
                "columns_wanted": view.window.wanted, "last_price": view.last_price,
                "warm_days": view.quality.warm_days, "usd_scale": view.quality.usd_scale,
                "candles_of": view.lead.name, "tiers": view.tiers,
            }  # fmt: skip
        states, notes = self._states(query, entries, view)
        starts = [one.bars.start_ms for one in entries if one.bars]
        return Status(
            mode=self.mode(query), data_ms=max(self._data_ms(entries), default=None),
            replay_speed=entries[0].feed.speed, exchanges=states,
            collecting_since_ms=min(starts, default=None),
            coverage=self._coverage(entries, view),
            note=notes or ("" if view else "No data yet."), **head, **drawn,
        )  # fmt: skip

    def _data_ms(self, entries: Sequence[Entry]) -> list[int]:
        known = ((self.market(one.name).tape.data_ms, one.bars) for one in entries)
        return [
            tape or (bars.end_ms if bars else 0) for tape, bars in known if tape or bars
        ]

    def _states(
        self, query: Query, entries: Sequence[Entry], view: LiveView | None
    ) -> tuple[list[ExchangeState], str]:
        """Return the exchanges of a query, of a coin also those switched off, and a note."""
        if not self.catalogue.is_coin(query.instrument):
            state = self._with_measured(self.state_of(entries[0]), entries[0], view)
            return [state], state.detail
        best: dict[str, ExchangeState] = {}
        included = {one.exchange for one in entries}
        for entry in self.catalogue.members(query.instrument):
            state = self._with_measured(self.state_of(entry), entry, view)
            if (
                view is not None
                and entry.exchange in included
                and entry.name not in view.parts
            ):
                state = msgspec.structs.replace(
                    state, detail=f"{entry.name} is not drawn yet. {state.detail}".strip()
                )
            state = msgspec.structs.replace(state, included=entry.exchange in included)
            held = best.get(entry.exchange)
            # The freshest of its instruments speaks for an exchange.
            if held is None or _age(state) < _age(held):
                best[entry.exchange] = state
        idle = [
            one
            for feed in {id(one.feed): one.feed for one in entries}.values()
            for one in self.catalogue.idle(feed)
            if one.exchange not in best
        ]
        notes = dict.fromkeys(one.feed.remark for one in entries)
        return [*best.values(), *idle], " ".join(filter(None, notes))

    def _with_measured(
        self, state: ExchangeState, entry: Entry, view: LiveView | None
    ) -> ExchangeState:
        part = None if view is None else view.parts.get(entry.name)
        if part is None or not part.measured:
            return state
        detail = f"{state.detail} {part.measured}.".strip()
        return msgspec.structs.replace(state, detail=detail)

    def _coverage(self, entries: Sequence[Entry], view: LiveView | None) -> CoverageFlags:
        kinds = {kind for one in entries for kind in one.stored.spans}
        given = [one.source.exchange for one in entries if one.source is not None]
        liquidations = "liquidations" in kinds or any(
            self.market(one.name).tape.liquidations for one in entries
        )
        liquidations = liquidations or any(
            exchange is not None and exchange.coverage.liquidations is not None
            for exchange in given
        )
        if view is None:
            return CoverageFlags(
                "open_interest" in kinds, False, "mark" in kinds, liquidations
            )
        has = view.has
        return CoverageFlags(has.open_interest, has.taker_volume, has.mark, liquidations)


def _age(state: ExchangeState) -> float:
    return float("inf") if state.age_ms is None else state.age_ms
