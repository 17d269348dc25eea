"""Calibrate: learnt weights as files, one per instrument, and how they come to be.

``<data_dir>/weights/<exchange>_<symbol>.json`` holds every dated ``Weights`` of an instrument,
oldest first, so that a map of any past moment can be drawn with what was known then. A file is
replaced whole and atomically; one which is cut short, of another model version or of another
instrument is refused in one line, never half used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from liqheat.engine.learn import (
    CALIBRATED,
    FILL_DAYS,
    SCALE_DAYS,
    SCALE_EVENTS,
    Shape,
    gather,
    learn,
    learn_each,
)
from liqheat.engine.params import bank_for
from liqheat.engine.positions import Told
from liqheat.engine.shapes import transfer_shape, walk_shapes
from liqheat.engine.weights import Weights, check, newest
from liqheat.errors import BadInputError
from liqheat.market.events import Bars, Liquidations
from liqheat.market.instrument import Instrument

_NOTHING = np.zeros(0, np.int64)
#: Days of weights a file keeps: a year, as far back as the page shows.
KEEP_DAYS = 400
#: Instruments learnt together: the solve is cubic in their components. More are parted by coin.
TOGETHER_MOST = 12


class Taught(Protocol):
    """What there is to learn from: a ``study.market.Market`` is one."""

    @property
    def bars(self) -> Bars: ...  # noqa: D102
    @property
    def instrument(self) -> Instrument: ...  # noqa: D102
    @property
    def liquidations(self) -> Liquidations: ...  # noqa: D102
    @property
    def covered(self) -> Sequence[tuple[int, int]]: ...  # noqa: D102
    @property
    def left_out(self) -> int: ...  # noqa: D102


def calibrate(
    bars: Bars,
    instrument: Instrument,
    liquidations: Liquidations,
    *,
    covered: Sequence[tuple[int, int]] | None = None,
) -> list[Weights]:
    """Learn dated weights, walking forward day by day; see ``engine.learn.learn``.

    Parameters
    ----------
    bars : Bars
        Of at most 15 minutes; the ledger needs some days before the first liquidation counts.
    instrument : Instrument
        Margin tiers and settlement.
    liquidations : Liquidations
        Realised ones of this instrument.
    covered : sequence of (start_ms, end_ms), optional
        When the feed was recorded; from the first event on where not given.
    """
    return learn(bars, instrument, liquidations, covered=covered)


def walk_forward(
    markets: Sequence[Taught], told: Sequence[Told | None] | None = None
) -> list[list[Weights]]:
    """Return the weights of every day of some markets, each learnt from the days before it.

    Parameters
    ----------
    markets : sequence of Taught
        Learnt together, as far as ``together`` parts them.
    told : sequence of Told or None, optional
        The public positions of each market. Their shape is lent to all markets of the coin.
    """
    shapes = _shapes(markets, told or [None] * len(markets))
    out: list[list[Weights]] = [[] for _ in markets]
    for group in together([market.instrument for market in markets]):
        evidence = [
            gather(m.bars, m.instrument, m.liquidations, m.covered)
            for m in (markets[i] for i in group)
        ]
        found = learn_each(evidence, shapes=[shapes[i] for i in group])
        for i, weights in zip(group, found, strict=True):
            out[i] = weights
    return out


def together(instruments: Sequence[Instrument]) -> list[list[int]]:
    """Return which instruments are learnt together: all of them, or where too many by coin."""
    every = list(range(len(instruments)))
    if len(every) <= TOGETHER_MOST:
        return [every] if every else []
    coins: dict[str, list[int]] = {}
    for i, instrument in enumerate(instruments):
        coins.setdefault(instrument.coin, []).append(i)
    return [
        group[at : at + TOGETHER_MOST]
        for group in coins.values()
        for at in range(0, len(group), TOGETHER_MOST)
    ]


def _shapes(markets: Sequence[Taught], told: Sequence[Told | None]) -> list[list[Shape]]:
    """Return the measured shapes of each market: its own, else another's of the coin."""
    banks = [bank_for(market.instrument, CALIBRATED)[0] for market in markets]
    own: dict[int, list[Shape]] = {}
    for i, (market, positions) in enumerate(zip(markets, told, strict=True)):
        if positions is not None and not market.instrument.is_inverse:
            own[i] = walk_shapes(market.bars, market.instrument, positions)
    out = []
    for i, market in enumerate(markets):
        coin = market.instrument.coin
        lent = [
            j for j, found in own.items() if found and markets[j].instrument.coin == coin
        ]
        source = i if own.get(i) else max(lent, key=lambda j: len(own[j]), default=None)
        out.append([] if source is None else [
            Shape(one.as_of_ms, transfer_shape(one.log_gain, banks[source], banks[i]))
            for one in own[source]
        ])  # fmt: skip
    return out


def weights_path(data_dir: Path, instrument: Instrument) -> Path:
    """Return where an instrument's weights lie; odd letters of a symbol become ``-``."""
    symbol = re.sub(r"[^A-Za-z0-9._-]", "-", instrument.symbol)
    return data_dir / "weights" / f"{instrument.exchange}_{symbol}.json"


def write_weights(
    data_dir: Path, instrument: Instrument, weights: Sequence[Weights]
) -> Path:
    """Replace an instrument's file by these weights, atomically; return its path.

    Raises
    ------
    BadInputError
        The weights do not belong to the instrument, or are not in order.
    """
    kept = list(weights)[-KEEP_DAYS:]
    _check(kept, instrument)
    path = weights_path(data_dir, instrument)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(msgspec.json.encode(kept))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def read_weights(
    data_dir: Path, instrument: Instrument, *, as_of_ms: int | None = None
) -> list[Weights]:
    """Return the dated weights of an instrument, oldest first; none where there is no file.

    Parameters
    ----------
    as_of_ms : int, optional
        Leave out what was not known then.

    Raises
    ------
    BadInputError
        The file is cut short, holds what is no number, or belongs to another model version or
        another instrument. Says which file and what to do.
    """
    path = weights_path(data_dir, instrument)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInputError(
            f"cannot be read: {error.strerror}", where=str(path), do="mend it, or delete it"
        ) from error
    again = f"run 'liqheat study calibrate', or delete {path}"
    try:
        weights = msgspec.json.decode(data, type=list[Weights])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"not a file of weights of this version: {error}", where=str(path), do=again
        ) from error
    try:
        _check(weights, instrument)
    except BadInputError as error:
        raise BadInputError(str(error), where=str(path), do=again) from error
    if as_of_ms is None:
        return weights
    return [each for each in weights if each.as_of_ms <= as_of_ms]


def weights_row(
    market: Taught, weights: Sequence[Weights], path: Path | None
) -> dict[str, Any]:
    """Return what calibration came to, for printing: the newest weights in words and figures."""
    name, n = market.instrument.name, len(market.liquidations)
    if not weights:
        return {
            "instrument": name, "days": 0, "file": None,
            "words": f"nothing learnt: {n} liquidations are too few, or on too few days "
            f"({SCALE_EVENTS} events on {SCALE_DAYS:g} covered days are needed after "
            f"{FILL_DAYS} days of bars); the prior stays in force",
        }  # fmt: skip
    last = weights[-1]
    scale = float(np.exp(np.median(last.log_gain)))
    dates = [
        str(np.datetime64(at, "ms"))[:10] for at in (last.as_of_ms, last.data_start_ms)
    ]
    # Of a feed which is incomplete in an unknown way nobody knows how much it shows.
    known = last.completeness not in ("unknown", "lower_bound")
    shows = f", which shows {last.feed_share:.0%} of the USD" if known else ""
    words = (
        f"{len(weights)} days of weights; the newest, of {dates[0]}, are "
        f"{last.method} from {last.events} liquidations since {dates[1]} "
        f"({last.completeness} feed{shows}); "
        f"scale {scale:.2g} of the prior's"
        + (f"; {last.note}" if last.note else "")
        + (
            f"; {market.left_out} of an impossible price left out"
            if market.left_out
            else ""
        )
        + (f"; written to {path}" if path else "; nothing written")
    )
    return {
        "instrument": name, "days": len(weights), "as_of_ms": last.as_of_ms,
        "data_start_ms": last.data_start_ms, "method": last.method, "events": last.events,
        "completeness": last.completeness, "feed_share": last.feed_share, "scale": scale,
        "note": last.note, "file": None if path is None else str(path), "words": words,
    }  # fmt: skip


def _check(weights: Sequence[Weights], instrument: Instrument) -> None:
    bank, _ = bank_for(instrument, CALIBRATED)
    for each in weights:
        check(each, instrument, len(bank.weight))
    newest(weights, _NOTHING)
