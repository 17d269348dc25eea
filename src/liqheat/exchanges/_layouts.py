"""Columns to kinds: which file is which, recognised by its columns.

A ``Layout`` says which columns a kind needs and under which names they come; the first name
is ours, and the only one a mapping may give. One file may hold several kinds. The one thing
columns cannot tell is whether prices without a quantity are mark prices: there the word
"mark" in the file's name decides.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.exchanges._tables import (
    FileTable,
    flags,
    normalised,
    numbers,
    texts,
    times_ms,
)
from liqheat.market.checks import MAX_PRICE, MAX_QTY, MIN_PRICE, OPTIONAL_BAR_COLUMNS
from liqheat.market.events import (
    F64,
    I64,
    Bars,
    Completeness,
    PriceKind,
)
from liqheat.market.units import INTERVAL_MS

_PRICES = ("open", "high", "low", "close")
_TIMES = ("time", "timestamp", "datetime", "date", "ts")

#: Our column -> the names under which files have it. The first is ours.
ALIASES: dict[str, tuple[str, ...]] = {
    "start_ms": ("start_ms", "open_time", "start_time", "start", *_TIMES),
    "event_ms": ("event_ms", "create_time", "funding_time", "calc_time", *_TIMES),
    **{name: (name,) for name in _PRICES},
    "qty": ("qty", "volume", "base_volume"),
    "taker_buy_qty": ("taker_buy_qty", "taker_buy_volume", "taker_buy_base_volume",
                      "taker_buy_base_asset_volume"),
    "open_interest_qty": ("open_interest_qty", "single_open_interest", "open_interest_base",
                          "sum_open_interest"),
    "open_interest_usd": ("open_interest_usd", "sum_open_interest_value"),
    "mark_high": ("mark_high",),
    "mark_low": ("mark_low",),
    "mark_price": ("mark_price",),
    "index_price": ("index_price", "oracle_price"),
    "funding_rate": ("funding_rate", "last_funding_rate"),
    "position_side": ("position_side", "side"),
    "price": ("price",),
    "notional_usd": ("notional_usd",),
    "exchange": ("exchange",),
    "end_ms": ("end_ms", "end_minute"),
    "session": ("session",),
}  # fmt: skip

#: Kind -> the columns it needs, and those which make the file something else; ours.
_LAYOUTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bars": (("start_ms", *_PRICES, "qty"), ()),
    "mark_bars": (("start_ms", *_PRICES), ("qty",)),
    "open_interest": (("event_ms", "open_interest_qty"), (*_PRICES, "qty")),
    "mark": (("event_ms", "mark_price"), (*_PRICES, "position_side")),
    "funding": (("event_ms", "funding_rate"), _PRICES),
    "liquidations": (("event_ms", "position_side", "price", "qty"), _PRICES),
    "gaps": (("start_ms", "end_ms", "session"), (*_PRICES, "qty", "event_ms")),
}

#: Tape exchange -> what its prices are, and how complete its public feed is at best. A tape
#: someone recorded is a lower bound even of a full feed.
_FEEDS: dict[str, tuple[PriceKind, Completeness]] = {
    "binance": ("order", "sampled_1s"),
    "okx": ("bankruptcy", "sampled_1s"),
    "binance_or_okx": ("order", "sampled_1s"),
    "bybit": ("bankruptcy", "lower_bound"),
}


@dataclass(frozen=True)
class Part:
    """One kind out of a file: a table without its ``instrument`` and ``source`` columns."""

    kind: str
    table: pa.Table
    start_ms: int
    end_ms: int
    notes: tuple[str, ...] = ()
    bars: Bars | None = None
    #: USD per base unit which the file itself implies, row by row (open interest only).
    implied_price: F64 | None = None
    exchanges: tuple[str, ...] = ()


def rows_of(file: FileTable, names: set[str]) -> FileTable:
    """Return a recorder's coverage of the symbols in ``names``; other files whole.

    A recorder writes one such file for all it records.
    """
    needed = {"symbol", "session", "end_minute"}
    if not needed <= file.columns.keys():
        return file
    keep = pa.array([text in names for text in texts(file, "symbol")])
    columns = {n: c.filter(keep) for n, c in file.columns.items() if n != "symbol"}
    if not keep.true_count:
        raise UnusableError(
            "it covers no such symbol", where=file.name, value=sorted(names)
        )
    return replace(file, columns=columns)


class UnusableError(BadInputError):
    """The file is sound, but nothing in it can be used; said, and left out of a folder."""


def map_columns(
    file: FileTable, mapping: Mapping[str, str], *, strict: bool
) -> tuple[FileTable, set[str]]:
    """Return the file with mapped columns under our names, and which pairs it had.

    ``mapping`` is our name -> theirs, with a factor where one is needed:
    ``{"open_interest_qty": "openInterest/2"}``.

    Raises
    ------
    BadInputError
        Our name, or (strict) theirs, does not exist.
    """
    columns, spelled, used = dict(file.columns), dict(file.spelled), set()
    for ours, expression in mapping.items():
        if ours not in ALIASES:
            _refuse_name("no such column to map", ours, tuple(ALIASES), "mapping")
        theirs, factor = _factor(expression)
        if theirs not in file.columns:
            if strict:
                names = tuple(file.spelled.values())
                _refuse_name(f"no column for {ours!r}", expression, names, file.name)
            continue
        used.add(ours)
        for alias in ALIASES[ours]:
            columns.pop(alias, None)
        values = file.columns[theirs]
        if factor != 1.0:
            values = pa.chunked_array([numbers(file, theirs) * factor])
        columns[ours], spelled[ours] = values, file.spelled[theirs]
    return replace(file, columns=columns, spelled=spelled), used


def _factor(expression: str) -> tuple[str, float]:
    match = re.fullmatch(r"(.+?)\s*([*/])\s*(\d+(?:\.\d+)?(?:e-?\d+)?)", expression.strip())
    if match is None:
        return normalised(expression), 1.0
    name, operator, number = match.groups()
    value = float(number)
    if value == 0.0:
        raise BadInputError(
            "a factor of 0", where="mapping", value=expression, do="leave the factor out"
        )
    return normalised(name), value if operator == "*" else 1.0 / value


def _refuse_name(what: str, name: str, known: tuple[str, ...], where: str) -> NoReturn:
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    do = f"did you mean {' or '.join(near)}?" if near else f"it has: {', '.join(known)}"
    raise BadInputError(what, where=where, value=name, do=do)


def parse_file(file: FileTable) -> list[Part]:
    """Return all kinds a file holds.

    Raises
    ------
    UnusableError
        Its columns are those of no kind.
    BadInputError
        A row is wrong.
    """
    columns = {
        ours: next((alias for alias in aliases if alias in file.columns), None)
        for ours, aliases in ALIASES.items()
    }
    have = {ours: theirs for ours, theirs in columns.items() if theirs is not None}
    parts: list[Part] = []
    for kind, (needed, absent) in _LAYOUTS.items():
        if all(c in have for c in needed) and not any(c in have for c in absent):
            parts += _PARSERS[kind](file, have)
    if not parts:
        _refuse_layout(file, have)
    return parts


def _refuse_layout(file: FileTable, have: Mapping[str, str]) -> NoReturn:
    """Say what is missing: of the kind whose needs are met best."""
    names = tuple(file.spelled.values())
    if {"taker_buy_usd", "taker_sell_usd"} <= file.columns.keys():
        raise UnusableError(
            "taker flow in USD without prices; bars need open, high, low, close and qty",
            where=file.name,
        )
    if not file.spelled.keys() - {f"f{number}" for number in range(len(names))}:
        raise UnusableError(
            "no header line", where=file.name, value=names,
            do="name the columns, as in start_ms=f0",
        )  # fmt: skip

    def met(kind: str) -> float:
        needed = _LAYOUTS[kind][0]
        return sum(c in have for c in needed) / len(needed)

    kind = max((k for k in _LAYOUTS if k != "mark_bars"), key=met)
    if met(kind) <= 0.5:
        raise UnusableError(
            "its columns are of no known kind", where=file.name, value=names,
            do="map columns if it holds bars, open interest, mark, funding or liquidations",
        )  # fmt: skip
    missing = next(c for c in _LAYOUTS[kind][0] if c not in have)
    near = difflib.get_close_matches(
        missing, [normalised(n) for n in names], n=1, cutoff=0.6
    )
    guess = file.spelled.get(near[0], near[0]) if near else "<its name>"
    raise UnusableError(
        f"no column {missing!r}, which {kind.replace('_', ' ')} need", where=file.name,
        value=names, do=f"map it, as in {missing}={guess}",
    )  # fmt: skip


# -- one parser a kind ---------------------------------------------------------------------


def _bars(file: FileTable, have: Mapping[str, str]) -> list[Part]:
    start_ms, unit = times_ms(file, have["start_ms"])
    columns: dict[str, object] = {"start_ms": start_ms}
    for name in (*_PRICES, "qty", *OPTIONAL_BAR_COLUMNS):
        if name in have:
            columns[name] = numbers(file, have[name])
    bars = Bars.from_columns(columns, where=file.where)
    notes = []
    if unit == "us":
        notes.append("times in microseconds: Binance writes those in SPOT dumps; a spot "
                     "volume is not the contract's")  # fmt: skip
    names = ("start_ms", *_PRICES, "qty", "taker_buy_qty", "mark_high", "mark_low")
    table = pa.table({
        "interval_ms": np.full(len(bars), bars.interval_ms),
        **{name: getattr(bars, name) for name in names},
    })  # fmt: skip
    end = int(start_ms[-1]) + bars.interval_ms
    parts = [Part("bars", table, int(start_ms[0]), end, tuple(notes), bars)]
    known = np.isfinite(bars.open_interest_qty)
    if known.any():
        event_ms = (bars.start_ms + bars.interval_ms)[known]
        parts.append(_events("open_interest", event_ms, {
            "open_interest_qty": bars.open_interest_qty[known],
        }))  # fmt: skip
    return parts


def _mark_bars(file: FileTable, have: Mapping[str, str]) -> list[Part]:
    if "mark" not in re.split(r"[^a-z]+", file.name.lower()):
        raise UnusableError(
            "no volume column: bars need the traded quantity", where=file.name,
            value=tuple(file.spelled.values()),
            do='map it, as in qty=<name>; prices of the mark need "mark" in the file name',
        )  # fmt: skip
    columns = {name: numbers(file, have[name]) for name in _PRICES}
    start_ms, _ = times_ms(file, have["start_ms"])
    checked = {"start_ms": start_ms, "qty": np.zeros(len(start_ms)), **columns}
    bars = Bars.from_columns(checked, where=file.where)
    # What happened inside is known without its time; only the ends are readings.
    event_ms = np.append(start_ms, start_ms[-1] + bars.interval_ms)
    price = np.append(bars.open, bars.close[-1])
    note = (f"mark prices every {bars.interval_ms // 60_000} minutes, kept as readings at "
            "their times; high and low have no time and are left out")  # fmt: skip
    return [_events("mark", event_ms, {"mark_price": price}, (note,))]


def _open_interest(file: FileTable, have: Mapping[str, str]) -> list[Part]:
    event_ms, _ = times_ms(file, have["event_ms"])
    qty = numbers(file, have["open_interest_qty"])
    _check(file, have["open_interest_qty"], (qty >= 0) & (qty <= MAX_QTY), "is not >= 0")
    _check_order(file, have["event_ms"], event_ms)
    part = _events("open_interest", event_ms, {"open_interest_qty": qty})
    if "open_interest_usd" not in have:
        return [part]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        implied = numbers(file, have["open_interest_usd"]) / qty
    return [replace(part, implied_price=implied)]


def _mark(file: FileTable, have: Mapping[str, str]) -> list[Part]:
    event_ms, _ = times_ms(file, have["event_ms"])
    columns = {}
    for name in ("mark_price", "index_price"):
        if name in have:
            values = columns[name] = numbers(file, have[name])
            good = (values >= MIN_PRICE) & (values <= MAX_PRICE)
            if name == "index_price":
                good |= np.isnan(values)
            _check(file, have[name], good, "is not a positive price")
    _check_order(file, have["event_ms"], event_ms)
    return [_events("mark", event_ms, columns)]


def _funding(file: FileTable, have: Mapping[str, str]) -> list[Part]:
    event_ms, _ = times_ms(file, have["event_ms"])
    rate = numbers(file, have["funding_rate"])
    _check(file, have["funding_rate"], np.abs(rate) < 1, "is not a fraction (in percent?)")
    _check_order(file, have["event_ms"], event_ms)
    return [_events("funding", event_ms, {"funding_rate": rate})]


def _liquidations(file: FileTable, have: Mapping[str, str]) -> list[Part]:
    event_ms, _ = times_ms(file, have["event_ms"])
    columns: dict[str, NDArray[Any]] = {}
    for name, most in (("price", MAX_PRICE), ("qty", MAX_QTY)):
        columns[name] = numbers(file, have[name])
        _check(file, have[name], (columns[name] > 0) & (columns[name] <= most),
               "is not positive")  # fmt: skip
    sides = np.array(texts(file, have["position_side"]))
    _check(file, have["position_side"], np.isin(sides, ("long", "short")),
           "is not long or short (an order's side means another thing on each exchange)",
           )  # fmt: skip
    columns["position_side"] = sides
    columns["notional_usd"] = (
        numbers(file, have["notional_usd"])
        if "notional_usd" in have
        else columns["price"] * columns["qty"]
    )
    exchanges = texts(file, have["exchange"]) if "exchange" in have else [""] * len(sides)
    feeds = [_FEEDS.get(name or "", ("order", "unknown")) for name in exchanges]
    columns["exchange"] = np.array(exchanges)
    columns["price_kind"] = np.array([feed[0] for feed in feeds])
    columns["completeness"] = np.array([feed[1] for feed in feeds])
    notes = []
    if "ref_price" in file.columns:
        columns["mark_price"] = numbers(file, "ref_price")
        notes.append("mark_price is the tape's ref_price: the middle of its bar")
    keep = np.ones(len(sides), dtype=bool)
    if "suspect_okx_inverse" in file.columns:
        keep = ~flags(file, "suspect_okx_inverse")
        notes.append(f"{int((~keep).sum())} rows marked suspect_okx_inverse left out: "
                     "their quantity is overstated")  # fmt: skip
    order = np.argsort(event_ms, kind="stable")
    order = order[keep[order]]
    kept = {name: values[order] for name, values in columns.items()}
    part = _events("liquidations", event_ms[order], kept, tuple(notes))
    return [replace(part, exchanges=tuple(sorted({name or "" for name in exchanges})))]


def _coverage(file: FileTable, have: Mapping[str, str]) -> list[Part]:
    """Turn the times a recorder ran into the holes between them."""
    start_ms, _ = times_ms(file, have["start_ms"])
    end_ms, _ = times_ms(file, have["end_ms"])
    if have["end_ms"] == "end_minute":
        end_ms = (
            end_ms + INTERVAL_MS["1m"]
        )  # the last minute recorded, which is covered whole
    _check(file, have["end_ms"], end_ms > start_ms, "is not after the start")
    order = np.argsort(start_ms, kind="stable")
    start_ms, end_ms = start_ms[order], np.maximum.accumulate(end_ms[order])
    holes = np.flatnonzero(start_ms[1:] > end_ms[:-1])
    if len(holes) == 0:
        raise UnusableError(
            "one recording without a hole: nothing to keep", where=file.name
        )
    part = _events("gaps", end_ms[holes], {
        "end_ms": start_ms[holes + 1],
        "kind": np.full(len(holes), "liquidations"),
        "reason": np.full(len(holes), "the recorder was off"),
    })  # fmt: skip
    return [replace(part, end_ms=int(start_ms[holes[-1] + 1]))]


def _events(
    kind: str, event_ms: I64, columns: Mapping[str, object], notes: tuple[str, ...] = ()
) -> Part:
    if len(event_ms) == 0:
        raise UnusableError("no row of it can be used", where=kind, do="; ".join(notes))
    table = pa.table({"event_ms": event_ms, **columns})
    return Part(kind, table, int(event_ms[0]), int(event_ms[-1]) + 1, notes)


def _check(file: FileTable, column: str, good: NDArray[np.bool_], what: str) -> None:
    rows = np.flatnonzero(~good)
    if len(rows):
        row = int(rows[0])
        raise BadInputError(
            f"{file.spelled[column]!r} {what} ({len(rows)} such rows)", where=file.at(row),
            value=file.columns[column][row].as_py(), do="mend or drop the row",
        )  # fmt: skip


def _check_order(file: FileTable, column: str, event_ms: I64) -> None:
    later = np.append(True, np.diff(event_ms) > 0)
    _check(file, column, later, "is not after the row before: unordered or doubled")


_PARSERS: dict[str, Callable[[FileTable, Mapping[str, str]], list[Part]]] = {
    "bars": _bars, "mark_bars": _mark_bars, "open_interest": _open_interest, "mark": _mark,
    "funding": _funding, "liquidations": _liquidations, "gaps": _coverage,
}  # fmt: skip
