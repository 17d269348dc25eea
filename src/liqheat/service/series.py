"""What happened beside the map, column by column of the same window: figures for sub-panes.

    query, recordings -> build_series() -> Series    one value a column of the heatmap

Sums over the instruments of a coin are USD; what is not known of one is left out of a sum, and
said so in the notes; NaN where nothing is known. A column knows nothing later than its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.grid import candles, column_step
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.events import F64, I64, Completeness
from liqheat.market.units import DAY_MS, base_to_stable, stable_to_usd
from liqheat.service.coin import sum_known
from liqheat.service.history import History
from liqheat.service.query import Query
from liqheat.service.recorded import Realised, Recording, joint_completeness
from liqheat.service.window import (
    WARMUP_MS,
    Member,
    Window,
    lead_first,
    plan,
    plan_coin,
)

#: An open interest reading of before the column is known for so long [ms] ...
OPEN_INTEREST_AGE_MS = 3_600_000
#: ... and a funding rate for so long: rates are paid several times a day.
FUNDING_AGE_MS = DAY_MS
#: Bars read before the window where these tell which columns there are.
_BEFORE_MS = 2 * DAY_MS
#: What is known of less than this share of the window is worth a note.
_WHOLE = 0.995


@dataclass(frozen=True, eq=False)
class Series:
    """Figures of the columns of a heatmap's window; float64 of shape (t,), NaN: not known.

    ``open_interest_of`` counts the instruments in the sum of open interest: where it changes,
    so does what is added up. ``taker_*`` are of the instruments and bars which tell buys from
    sells, so their difference is that of one set of trades.
    """

    lead: str
    step_ms: int
    start_ms: I64
    open_interest_usd: F64
    open_interest_of: I64
    funding_rate: F64
    funding_interval_ms: int | None
    qty_usd: F64
    taker_buy_usd: F64
    taker_sell_usd: F64
    liquidated_long_usd: F64
    liquidated_short_usd: F64
    liquidations_completeness: Completeness | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Part:
    """The figures of one instrument."""

    name: str
    open_interest_usd: F64
    qty_usd: F64
    taker_usd: tuple[F64, F64]
    liquidated_usd: tuple[F64, F64]
    realised: Realised
    #: Share of the columns so far in which liquidations were recorded.
    recorded: float


def build_series(query: Query, recordings: Sequence[Recording], *, coin: bool) -> Series:
    """Return the series of a query.

    Parameters
    ----------
    query : Query
        The columns are those of its heatmap.
    recordings : sequence of Recording
        Its instruments.
    coin : bool
        Whether they are added up as a coin.

    Raises
    ------
    UnavailableError, BadInputError
        As for the heatmap: no bars, or a window which cannot be drawn.
    """
    window, histories = _load(query, recordings, coin=coin)
    starts = np.arange(window.start_ms, window.end_ms, window.step_ms, dtype=np.int64)
    edges = np.append(starts, window.end_ms)
    known_ms = max(int(one.end_ms[-1]) for _, one in histories)
    until = window.end_ms + 1  # what is told at the very end of a column was known then
    if query.as_of_ms is not None:
        until = min(until, query.as_of_ms + 1)
    lead, parts, notes = histories[0][0], list[_Part](), list[str]()
    for recording, history in histories:
        try:
            column_step(history.bars, window.step_ms)
            candles(history.bars, starts, window.step_ms)
        except BadInputError as error:
            if recording is lead:
                raise
            notes.append(f"{recording.name} is left out: {error.what}")
            continue
        parts.append(_part(recording, history, edges, known_ms, until))
    rate, interval_ms = _funding(lead, edges, until)
    if coin:
        notes.append(f"funding of {lead.name}")
    return _joined(parts, lead.name, starts, window.step_ms, rate, interval_ms, notes)


def _load(
    query: Query, recordings: Sequence[Recording], *, coin: bool
) -> tuple[Window, list[tuple[Recording, History]]]:
    """Return the heatmap's window, and the bars of each instrument, the lead's first."""
    try:
        found = [(one, one.history(query, _BEFORE_MS)) for one in recordings]
        window = _window(query, found, coin=coin)
        wanted_ms = window.end_ms - window.wanted * window.step_ms
        if window.start_ms == wanted_ms:
            return window, _ordered(found)
    except UnavailableError:
        pass
    # Where the window begins may depend on bars long before it: load what the map loads.
    found, failures = [], []
    for one in recordings:
        try:
            found.append((one, one.history(query, WARMUP_MS)))
        except UnavailableError as error:
            failures.append(error)
    if not found:
        raise failures[0]
    return _window(query, found, coin=coin), _ordered(found)


def _ordered(found: Sequence[tuple[Recording, History]]) -> list[tuple[Recording, History]]:
    by_name = {one.name: (one, history) for one, history in found}
    members = lead_first([Member(one.instrument, history) for one, history in found])
    return [by_name[one.instrument.name] for one in members]


def _window(
    query: Query, found: Sequence[tuple[Recording, History]], *, coin: bool
) -> Window:
    lead, *others = [history for _, history in _ordered(found)]
    return (plan_coin(query, lead, others) if coin else plan(query, lead))[0]


def _part(
    recording: Recording, history: History, edges: I64, known_ms: int, until_ms: int
) -> _Part:
    # As far as its own data go: what an exchange which is down would have told is not known.
    realised = recording.realised(int(edges[0]), until_ms, int(history.end_ms[-1]))
    so_far = np.minimum(edges, known_ms)
    length = max(int(so_far[-1] - so_far[0]), 1)
    bars, n = history.bars, len(edges) - 1
    at = np.searchsorted(edges, history.end_ms, side="left") - 1
    shown = (at >= 0) & (at < n)

    def per_column(qty: F64) -> F64:
        # Base units at the bar's close: of an inverse contract its USD, exactly.
        rows = shown & np.isfinite(qty)
        total = np.bincount(at[rows], (qty * bars.close)[rows], n)
        return np.where(np.bincount(at[rows], minlength=n) > 0, total, np.nan)

    sells = np.maximum(bars.qty - bars.taker_buy_qty, 0.0)
    return _Part(
        recording.name, _open_interest(recording, history, edges, known_ms),
        per_column(bars.qty), (per_column(bars.taker_buy_qty), per_column(sells)),
        realised.per_step(edges), realised,
        float(realised.covered_ms(so_far).sum()) / length,
    )  # fmt: skip


def _open_interest(
    recording: Recording, history: History, edges: I64, known_ms: int
) -> F64:
    """Return the last reading of one side's open interest at the end of each column [USD].

    Known while it lies in the column, or is young enough and no recorded gap came since.
    """
    bars, ends, out = history.bars, history.end_ms, np.full(len(edges) - 1, np.nan)
    # Exchanges publish 0 when they cannot tell: that is no reading.
    readings = np.flatnonzero(bars.open_interest_qty > 0)
    if len(readings) == 0:
        return out
    stop = np.minimum(edges[1:], known_ms)
    last = np.searchsorted(ends[readings], stop, side="right") - 1
    row = readings[np.maximum(last, 0)]
    fresh = (ends[row] > edges[:-1]) | (stop - ends[row] < OPEN_INTEREST_AGE_MS)
    lost = _gap_before(recording, stop) > ends[row]
    known = (last >= 0) & fresh & ~(lost & (ends[row] <= edges[:-1]))
    # Stable units at the reading, USD at the column's close: as in the heatmap.
    now = np.maximum(np.searchsorted(ends, stop, side="right") - 1, 0)
    instrument = recording.instrument
    stable = base_to_stable(bars.open_interest_qty[row], bars.close[row], instrument)
    out[known] = stable_to_usd(stable, bars.close[now], instrument)[known]
    return out


def _gap_before(recording: Recording, times: I64) -> I64:
    """Return where the latest gap of open interest ends that began before each time."""
    gaps = recording.gaps("open_interest")
    begins = np.array([gap.event_ms for gap in gaps], np.int64)
    reach = np.maximum.accumulate(np.array([0] + [gap.end_ms for gap in gaps], np.int64))
    return np.asarray(reach[np.searchsorted(begins, times)], np.int64)


def _funding(recording: Recording, edges: I64, until_ms: int) -> tuple[F64, int | None]:
    """Return the last rate paid by the end of each column, and how far apart rates are."""
    times, rates = recording.funding(int(edges[0]) - FUNDING_AGE_MS, until_ms)
    out = np.full(len(edges) - 1, np.nan)
    if len(times) == 0:
        return out, None
    stop = edges[1:]
    last = np.searchsorted(times, stop, side="right") - 1
    at = np.maximum(last, 0)
    known = (last >= 0) & ((times[at] > edges[:-1]) | (stop - times[at] <= FUNDING_AGE_MS))
    out[known] = rates[at][known]
    apart = np.diff(times)
    return out, int(np.median(apart)) if len(apart) else None


def _joined(
    parts: Sequence[_Part], lead: str, starts: I64, step_ms: int, rate: F64,
    interval_ms: int | None, notes: Sequence[str],
) -> Series:  # fmt: skip
    interest = [one.open_interest_usd for one in parts]
    buys, sells, longs, shorts = (
        sum_known(values)
        for values in (
            [one.taker_usd[0] for one in parts], [one.taker_usd[1] for one in parts],
            [one.liquidated_usd[0] for one in parts], [one.liquidated_usd[1] for one in parts],
        )
    )  # fmt: skip
    return Series(
        lead=lead, step_ms=step_ms, start_ms=starts,
        open_interest_usd=sum_known(interest),
        open_interest_of=np.isfinite(np.stack(interest)).sum(axis=0),
        funding_rate=rate, funding_interval_ms=interval_ms,
        qty_usd=sum_known(one.qty_usd for one in parts),
        taker_buy_usd=buys, taker_sell_usd=sells,
        liquidated_long_usd=longs, liquidated_short_usd=shorts,
        liquidations_completeness=joint_completeness(
            one.realised.completeness for one in parts
        ),
        notes=(*notes, *_notes(parts)),
    )  # fmt: skip


def _notes(parts: Sequence[_Part]) -> list[str]:
    """Say what is known of some instruments alone, or of a part of the window."""
    out = []
    for words, share in (
        ("open interest", {p.name: _share(p.open_interest_usd, p.qty_usd) for p in parts}),
        (
            "taker buys and sells",
            {p.name: _share(p.taker_usd[0], p.qty_usd) for p in parts},
        ),
        ("liquidations", {p.name: p.recorded for p in parts}),
    ):
        without = [name for name, known in share.items() if known == 0]
        if without:
            out.append(f"{words}: not known of {', '.join(without)}")
        for name, known in share.items():
            if 0 < known < _WHOLE:
                out.append(f"{words} of {name}: known for {known:.0%} of the window")
    return out


def _share(values: F64, of: F64) -> float:
    # Of the columns which have a bar.
    some: NDArray[np.bool_] = np.isfinite(of)
    return float(np.isfinite(values)[some].mean()) if some.any() else 0.0
