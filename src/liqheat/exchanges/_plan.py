"""The plan of an import: what will be taken from which file, and what is left out and why.

Reads and checks everything, writes nothing. Nothing is borrowed, dropped or scaled without a
line in the plan.

Bars may be borrowed: where an instrument has none of its own exchange, another's are taken,
and their ``source`` says so (closes of two large exchanges differ by some basis points).
Open interest, mark prices, funding and liquidations never are: they belong to one exchange.

Bybit's ``openInterest`` counts BOTH sides of each position; its ``singleOpenInterest`` counts
one, as we do. A file does not say which of them it holds, and halving in silence would be as
wrong as not halving: Bybit's is taken only where the mapping says which. (The hourly history
2020-2026 that circulates is doubled: it continues the field of the recorded frames.)
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from liqheat.errors import BadInputError
from liqheat.exchanges._layouts import Part, UnusableError, map_columns, parse_file, rows_of
from liqheat.exchanges._tables import SUFFIXES, FileTable, read_table, spoken, texts
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument
from liqheat.market.instrument import instrument as shipped_instrument
from liqheat.market.units import DAY_MS, interval_name

#: Exchanges as they appear in file names.
_EXCHANGES = (
    "binance", "bybit", "okx", "hyperliquid", "gate", "bitget", "deribit", "dydx", "multi",
    "coinglass", "coinbase", "kraken", "bitmex", "bitfinex", "kucoin", "mexc", "huobi", "htx",
    "phemex", "bingx", "upbit", "ftx",
)  # fmt: skip
#: A file's own USD over base may differ this much from the bars' closes, in the middle.
_PRICE_TOLERANCE = 0.05


@dataclass(frozen=True)
class PlanItem:
    """One kind of one file, ready to be written."""

    file: Path
    sha256: str
    part: Part
    borrowed_from: str | None = None

    @property
    def name(self) -> str:
        """The file's name, in words."""
        return spoken(self.file.name)

    @property
    def source(self) -> str:
        """What the rows' ``source`` column says."""
        if self.borrowed_from:
            return f"borrowed:{self.borrowed_from}:{self.name}"
        return f"file:{self.name}"

    @property
    def rows(self) -> int:
        """How many rows will be written."""
        return int(self.part.table.num_rows)

    def line(self) -> str:
        """Return the item in words."""
        words = self.part.kind.replace("_", " ")
        if self.part.bars is not None:
            words = f"{interval_name(self.part.bars.interval_ms)} {words}"
        days = (self.part.end_ms - self.part.start_ms) / DAY_MS
        text = f"{words}: {self.rows:,} rows, {_day(self.part.start_ms)} to "
        text += f"{_day(self.part.end_ms)} ({days:,.1f} days), from {self.name}"
        others = [name for name in self.part.exchanges if name]
        if len(others) > 1:
            text += f"; of {', '.join(others)}"
        if self.borrowed_from:
            text += f"; BORROWED from {self.borrowed_from}: there is no file of its own"
        return "; ".join((text, *self.part.notes))


@dataclass(frozen=True)
class ImportPlan:
    """What an import will write, and what it leaves out. Nothing is written yet."""

    instrument: Instrument
    items: tuple[PlanItem, ...]
    #: File name and reason.
    skipped: tuple[tuple[str, str], ...] = ()
    #: The mapping as it was given, "ours=theirs".
    mapping: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows will be written."""
        return sum(item.rows for item in self.items)

    def lines(self) -> list[str]:
        """Return the plan in words, one line a file."""
        out = [f"{self.instrument.name}: {self.rows:,} rows to import"]
        out += [f"  {item.line()}" for item in self.items]
        out += [f"  mapped: {pair}" for pair in self.mapping]
        reasons: dict[str, list[str]] = {}
        for name, reason in self.skipped:
            reasons.setdefault(reason, []).append(name)
        out += [f"  not used: {', '.join(names)}: {why}" for why, names in reasons.items()]
        return out


def plan_import(
    path: str | Path,
    instrument: str | Instrument,
    mapping: Mapping[str, str] | None = None,
    *,
    now_ms: int | None = None,
) -> ImportPlan:
    """Read and check a file, or a folder's files of one instrument; write nothing.

    In a folder, files are chosen by the symbol in their name, and files of the instrument's
    own exchange go before others. A file given by itself needs no name; where a name says
    another exchange, it is that exchange's.

    Parameters
    ----------
    path : path
        A file or a folder.
    instrument : str or Instrument
        ``exchange:symbol``; a name must be that of a shipped instrument.
    mapping : mapping of str to str, optional
        As for ``read_bars``. In a folder each pair holds for the files which have its column.
    now_ms : int, optional
        Later times are refused.

    Raises
    ------
    BadInputError
        A file of the instrument is damaged or has a wrong row, or there is none to use.
    UnknownInstrumentError
        There is no such instrument.
    """
    wanted = shipped_instrument(instrument) if isinstance(instrument, str) else instrument
    path = Path(path)
    planner = _Planner(wanted, dict(mapping or {}), now_ms)
    if os.path.isdir(path):  # noqa: PTH112 -- Path.is_dir raises for a name too long
        planner.add_folder(path)
    else:
        planner.add_single(path)
    return planner.plan(path)


class _Planner:
    """Collects the usable parts of files, own and others', and chooses among them."""

    def __init__(
        self, instrument: Instrument, mapping: dict[str, str], now_ms: int | None
    ) -> None:
        self.instrument, self.mapping, self.now_ms = instrument, mapping, now_ms
        self.own: list[PlanItem] = []
        #: Bars of other exchanges, by exchange.
        self.others: dict[str, list[PlanItem]] = {}
        self.skipped: list[tuple[str, str]] = []
        #: Which pairs of the mapping some file had.
        self.mapped: set[str] = set()

    def add_single(self, path: Path) -> None:
        """Take one file, which must have all mapped columns."""
        self._add(path, strict=True)

    def add_folder(self, folder: Path) -> None:
        """Take the files whose name is the instrument's; list those of no use."""
        found = (p for p in folder.rglob("*") if p.name.lower().endswith(SUFFIXES))
        for path in sorted(p for p in found if p.is_file()):
            if not (_is_named(path.name, self.instrument) or _is_coverage(path.name)):
                self.skipped.append(
                    (spoken(path.name), f"its name has no {self.instrument.symbol}")
                )
                continue
            try:
                self._add(path, strict=False)
            except UnusableError as error:
                self.skipped.append((spoken(path.name), _reason(error)))
        if unused := self.mapping.keys() - self.mapped:
            raise BadInputError(
                "no file has a mapped column", where=str(folder),
                value=", ".join(f"{ours}={self.mapping[ours]}" for ours in sorted(unused)),
                do="check its spelling, or import the one file by its name",
            )  # fmt: skip

    def _add(self, path: Path, *, strict: bool) -> None:
        table, mapped = map_columns(read_table(path), self.mapping, strict=strict)
        self.mapped |= mapped
        table = rows_of(table, _symbols(self.instrument))
        _check_symbol(table, self.instrument)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        for part in parse_file(table):
            self._check_future(part, table.name)
            self._sort_in(path, sha256, part, table)

    def _sort_in(self, path: Path, sha256: str, part: Part, table: FileTable) -> None:
        own, exchange = self.instrument.exchange, _exchange_in(path.name)
        if reason := self._refusal(part, exchange, table):
            self.skipped.append((spoken(path.name), reason))
        elif part.kind == "bars" and exchange not in (None, own, "multi"):
            part = replace(part, table=part.table.drop_columns(["mark_high", "mark_low"]))
            item = PlanItem(path, sha256, part, exchange)
            self.others.setdefault(str(exchange), []).append(item)
        else:
            if exchange is None and not any(part.exchanges):
                note = f"its name says no exchange: taken for {own}'s"
                part = replace(part, notes=(*part.notes, note))
            self.own.append(PlanItem(path, sha256, part))

    def _check_future(self, part: Part, name: str) -> None:
        if self.now_ms is not None and part.end_ms > self.now_ms + DAY_MS:
            raise BadInputError(
                f"its {part.kind.replace('_', ' ')} end in the future", where=name,
                value=_day(part.end_ms), do="check the unit and the time zone of its times",
            )  # fmt: skip

    def _refusal(self, part: Part, exchange: str | None, table: FileTable) -> str:
        """Return why a part cannot stand for this instrument, or nothing."""
        own = self.instrument.exchange
        words = part.kind.replace("_", " ")
        if part.kind == "liquidations" and any(part.exchanges):
            # A tape of several exchanges is kept whole: every row says whose it is.
            alone = len(part.exchanges) == 1 and part.exchanges[0] != own
            return f"{words} of {part.exchanges[0]} only; never borrowed" if alone else ""
        if part.kind != "bars" and exchange not in (None, own):
            return f"{words} of {exchange}; never borrowed"
        # Under our own name it is one side by definition, also where a mapping gave it.
        one_sided = {"open_interest_qty", "single_open_interest"} & table.columns.keys()
        if part.kind == "open_interest" and own == "bybit" and not one_sided:
            return (
                "Bybit's open interest counts both sides, unless it is singleOpenInterest; "
                "say which: open_interest_qty=<column>/2 (both sides) or "
                "open_interest_qty=<column> (one side)"
            )
        return ""

    def plan(self, path: Path) -> ImportPlan:
        """Choose among what was added."""
        items = list(self.own)
        if path.is_dir() and not any(item.part.kind == "liquidations" for item in items):
            # A recorder's hours say nothing of an instrument whose tape it did not keep.
            hours = [item for item in items if item.part.kind == "gaps"]
            items = [item for item in items if item.part.kind != "gaps"]
            reason = f"no liquidations of {self.instrument.name} to go with it"
            self.skipped += [(item.name, reason) for item in hours]
        has_bars = any(item.part.kind == "bars" for item in items)
        lender = None if has_bars else self._lender()
        for exchange, others in self.others.items():
            if exchange == lender:
                items += others
                continue
            used = f"{lender}'s" if lender else f"{self.instrument.exchange}'s own"
            reason = f"bars of {exchange}; {used} are used"
            self.skipped += [(item.name, reason) for item in others]
        if not items:
            raise BadInputError(
                f"nothing here can be used for {self.instrument.name}", where=str(path),
                do="; ".join(f"{name}: {why}" for name, why in self.skipped[:3])
                or "give a folder with CSV, Parquet or Arrow files",
            )  # fmt: skip
        bars = [item.part.bars for item in items if item.part.bars is not None]
        for item in items:
            check_open_interest(item, bars)
        mapped = tuple(f"{ours}={theirs}" for ours, theirs in self.mapping.items())
        return ImportPlan(self.instrument, tuple(items), tuple(self.skipped), mapped)

    def _lender(self) -> str | None:
        """Return the exchange whose bars reach furthest, then are finest."""

        def worth(exchange: str) -> tuple[int, int, str]:
            parts = [item.part for item in self.others[exchange]]
            reach = max(part.end_ms for part in parts) - min(
                part.start_ms for part in parts
            )
            return reach, -min(p.bars.interval_ms for p in parts if p.bars), exchange

        return max(self.others, key=worth, default=None)


def check_open_interest(item: PlanItem, bars: Sequence[Bars]) -> None:
    """Refuse open interest in USD given as base units, as far as bars can tell."""
    part = item.part
    if part.kind != "open_interest":
        return
    event_ms = part.table["event_ms"].to_numpy()
    qty = part.table["open_interest_qty"].to_numpy()
    for some in bars:
        try:
            some.with_open_interest(event_ms, qty)
        except BadInputError as error:
            raise BadInputError(
                error.what, where=item.name, value=error.value, do=error.do
            ) from error
        if part.implied_price is None:
            continue
        index = np.searchsorted(some.start_ms, event_ms) - 1
        inside = (index >= 0) & (event_ms <= some.start_ms[-1] + some.interval_ms)
        ratio = part.implied_price[inside] / some.close[index[inside]]
        middle = float(np.median(ratio)) if len(ratio) else 1.0
        if abs(middle - 1.0) > _PRICE_TOLERANCE:
            raise BadInputError(
                "open interest in USD over base units is no price of these bars: it is "
                f"{middle:.3g} times the close, in the middle", where=item.name,
                value=float(np.median(part.implied_price)),
                do="map open_interest_qty to the column of base units",
            )  # fmt: skip


def _exchange_in(name: str) -> str | None:
    words = re.split(r"[^a-z]+", name.lower())
    # "gateio" and "binanceusdm" are gate and binance.
    found = (e for word in words for e in _EXCHANGES if word.startswith(e))
    return next(found, None)


def _is_named(name: str, instrument: Instrument) -> bool:
    """Return whether a name has the symbol; beside its exchange the coin is enough."""
    exchange, symbol, coin = _exchange_in(name), instrument.symbol, instrument.coin
    words = {symbol, coin + "-" + instrument.quote, coin}
    if exchange is None:
        words -= {coin} - {symbol}
    elif exchange != instrument.exchange:
        words -= {coin}
    for word in words:
        letters = "[-_ ]?".join(re.findall(r"[a-z0-9]+", word.lower()))
        if re.search(f"(?<![a-z0-9]){letters}(?![a-z0-9])", name.lower()):
            return True
    return False


def _is_coverage(name: str) -> bool:
    """Return whether a file's name says it tells when liquidations were recorded."""
    return {"liquidation", "coverage"} <= set(re.split(r"[^a-z0-9]+", name.lower()))


def _symbols(instrument: Instrument) -> set[str]:
    """Return the names under which a symbol column may have an instrument."""
    pair = f"{instrument.coin}{instrument.quote}"
    return {instrument.symbol, instrument.name, pair, instrument.coin}


def _check_symbol(table: FileTable, instrument: Instrument) -> None:
    """Refuse a file whose own symbol column is another's."""
    for column in ("symbol", "instrument"):
        if column not in table.columns:
            continue
        names = _symbols(instrument) - {instrument.coin}
        for found in sorted({text or "" for text in texts(table, column)}):
            if found.upper() not in {name.upper() for name in names}:
                raise UnusableError(
                    f"its {column} column is not {instrument.symbol}'s", where=table.name,
                    value=found, do="split the file by symbol",
                )  # fmt: skip


def _reason(error: BadInputError) -> str:
    value = f" (was {error.value!r})" if error.value is not None else ""
    return error.what + value + (f"; {error.do}" if error.do else "")


def _day(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("datetime64[m]")).replace("T", " ")
