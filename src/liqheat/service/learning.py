"""What was learnt of each instrument: read from its file, and learnt again once a day.

Files lie in ``weights`` beside the store whose data they were learnt from, so that weights of
the simulated market are never used for a real one. A file which cannot be used is said so once
and passed over: the map then shows the prior, or another model. What a day's learning adds is
dated; dates already written stay as they were, so no past map changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError, LiqheatError
from liqheat.market.units import DAY_MS
from liqheat.service.feeds import Catalogue, Entry
from liqheat.store import Store
from liqheat.study.calibrate import (
    read_weights,
    together,
    walk_forward,
    weights_path,
    write_weights,
)
from liqheat.study.market import Market, stored, stored_positions

log = logging.getLogger("liqheat.learning")

#: History that a day's learning looks at: the ledger's warm-up and as much again [days].
HISTORY_DAYS = 60
#: Fewer liquidations than this teach nothing: the shares of ten components are unknown.
LEAST_EVENTS = 200
#: How often it is looked whose weights are a day old [s], and when first: not at the start,
#: when history is fetched.
LOOK_S, FIRST_S = 1_800.0, 300.0


class Learning:
    """The weights of all instruments of a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
        Whose instruments they are.
    clock_ms : callable
        Wall clock, ms UTC.
    """

    def __init__(self, catalogue: Catalogue, clock_ms: Callable[[], int]) -> None:
        self._catalogue, self._clock_ms = catalogue, clock_ms
        #: Per instrument: the file's time of change, and what was in it.
        self._kept: dict[str, tuple[int, tuple[Weights, ...]]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="liqheat-learn")

    def weights(self, name: str) -> tuple[Weights, ...]:
        """Return what was learnt of an instrument, oldest first; nothing where there is none."""
        try:
            entry = self._catalogue.find(name)
        except LiqheatError:
            return ()
        folder, instrument = entry.feed.store.file.parent, entry.stored.instrument
        try:
            changed = weights_path(folder, instrument).stat().st_mtime_ns
        except OSError:
            return ()
        held = self._kept.get(name)
        if held is None or held[0] != changed:
            try:
                found = tuple(read_weights(folder, instrument))
            except (BadInputError, OSError) as error:
                log.warning("weights_unused instrument=%s error=%s", name, error)
                found = ()
            held = self._kept[name] = (changed, found)
        return held[1]

    async def run(self) -> None:
        """Learn once a day of the instruments which are collected here, until cancelled."""
        await asyncio.sleep(FIRST_S)
        while True:
            for group in self.groups():
                if any(self._is_due(entry) for entry in group):
                    await self.learn(group)
            await asyncio.sleep(LOOK_S)

    def groups(self) -> list[list[Entry]]:
        """Return the instruments with something to teach, those together which learn together.

        Of one store only: what is learnt of a simulated market is of no use to a real one.
        """
        stores: dict[Store, list[Entry]] = {}
        for entry in self._catalogue.entries():
            rows = entry.stored.spans.get("liquidations")
            if entry.source is None or entry.bars is None or rows is None:
                continue
            if rows.rows >= LEAST_EVENTS:
                stores.setdefault(entry.feed.store, []).append(entry)
        return [
            [entries[i] for i in group]
            for entries in stores.values()
            for group in together([entry.stored.instrument for entry in entries])
        ]

    def _is_due(self, entry: Entry) -> bool:
        held = self.weights(entry.name)
        end_ms = entry.bars.end_ms if entry.bars else 0
        return not held or end_ms - held[-1].as_of_ms >= DAY_MS

    async def learn(self, group: Sequence[Entry]) -> None:
        """Learn of a group and write what is new; a failure is logged, and no more."""
        loop = asyncio.get_running_loop()
        names = ",".join(entry.name for entry in group)
        try:
            added = await loop.run_in_executor(self._thread, self._learn, group)
            log.info("learnt instruments=%s days=%d", names, added)
        except (LiqheatError, OSError, ValueError, ArithmeticError) as error:
            log.warning("learning_failed instruments=%s error=%s", names, error)

    def _learn(self, group: Sequence[Entry]) -> int:
        found: list[tuple[Entry, Market]] = []
        for entry in group:
            try:
                found.append((entry, self._market(entry)))
            except LiqheatError as error:  # the others learn without it
                log.warning("learning_failed instruments=%s error=%s", entry.name, error)
        told = [
            stored_positions(one.feed.store, one.name, load_from_ms=self._from_ms(one))
            for one, _ in found
        ]
        count = 0
        learnt = walk_forward([market for _, market in found], told)
        for (entry, _), weights in zip(found, learnt, strict=True):
            held = self.weights(entry.name)
            added = _newer(weights, held)
            if added:
                folder = entry.feed.store.file.parent
                write_weights(folder, entry.stored.instrument, [*held, *added])
            count += len(added)
        return count

    def _market(self, entry: Entry) -> Market:
        return stored(entry.feed.store, entry.name, load_from_ms=self._from_ms(entry))

    def _from_ms(self, entry: Entry) -> int:
        end = entry.bars.end_ms if entry.bars else self._clock_ms()
        return end - HISTORY_DAYS * DAY_MS

    def close(self) -> None:
        """Let the learning under way end in its thread, without waiting for it."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _newer(found: Sequence[Weights], held: Sequence[Weights]) -> list[Weights]:
    last = held[-1].as_of_ms if held else 0
    return [one for one in found if one.as_of_ms > last]


def stored_weights(store: Store) -> Callable[[str], Sequence[Weights]]:
    """Return what gives the weights beside a store, by instrument; a wrong file is an error."""
    return lambda name: read_weights(store.file.parent, store.instrument(name))
