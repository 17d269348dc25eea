"""A coin over all its instruments: which belong to it, who leads, and their exact sum.

    "BTC"              every real instrument of the coin that has bars, of every exchange
    "simulated:BTC"    those of the simulated market; the two are never added up

All stand on one USD grid; USD, USDT and USDC count as one. The most traded linear instrument
that is up to date leads: its candles are drawn, its prices choose the rows. Sums are float32,
instrument by instrument within an exchange, then exchange by exchange (``total``): so the
parts add up to the whole, to the last bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.engine.heatmap import Heatmap, Quality
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.events import F64
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS
from liqheat.service.history import History

F32 = NDArray[np.float32]
SIMULATED = "simulated"
#: An instrument whose last bar ended so long before the newest of all does not lead [ms].
LEAD_AGE_MS = 300_000


def coin_of(name: str) -> tuple[str, bool] | None:
    """Return (coin, whether simulated) of a coin's name; None for a real instrument's.

    An instrument of the simulated market has such a name too: ask first if it is one.

    >>> coin_of("BTC"), coin_of("simulated:ETH"), coin_of("binance:BTCUSDT")
    (('BTC', False), ('ETH', True), None)
    """
    exchange, colon, rest = name.rpartition(":")
    if colon and exchange != SIMULATED:
        return None
    return rest.upper(), bool(colon)


def coin_name(instrument: Instrument) -> str:
    """Return the name of the coin an instrument belongs to."""
    simulated = instrument.exchange == SIMULATED
    return f"{SIMULATED}:{instrument.coin}" if simulated else instrument.coin


def chosen_exchanges(text: str | None, known: Iterable[str]) -> set[str] | None:
    """Return the exchanges of a filter such as ``"binance,okx"``; None where all are meant.

    Raises
    ------
    BadInputError
        One of them has no instrument of the coin.
    """
    if text is None:
        return None
    known = sorted(set(known))
    names = {part.strip() for part in text.split(",") if part.strip()}
    for name in sorted(names) or [text]:
        if name not in known:
            raise BadInputError(
                "no such exchange has this coin", where="exchanges", value=name[:40],
                do=f"use any of {', '.join(known) or 'none'}",
            )  # fmt: skip
    return names


def choose_lead(histories: Mapping[Instrument, History]) -> Instrument:
    """Return the instrument which leads: linear, up to date, most traded in its last day."""
    newest = max(int(one.end_ms[-1]) for one in histories.values())

    def rank(instrument: Instrument) -> tuple[bool, bool, float]:
        history = histories[instrument]
        bars, end = history.bars, int(history.end_ms[-1])
        day = slice(int(np.searchsorted(history.end_ms, end - DAY_MS)), None)
        traded = float((bars.qty[day] * bars.close[day]).sum())
        return end >= newest - LEAD_AGE_MS, not instrument.is_inverse, traded

    return max(histories, key=rank)


def total(parts: Iterable[tuple[str, F32]]) -> F32:
    """Return the float32 sum of ``(exchange, usd)``: within each exchange first, in order."""
    groups: dict[str, F32] = {}
    for exchange, usd in parts:
        groups[exchange] = groups[exchange] + usd if exchange in groups else usd
    out: F32 | None = None
    for usd in groups.values():
        out = usd if out is None else out + usd
    if out is None:
        raise ValueError("a sum of no parts")
    return out


class CoinInstrument(Instrument, frozen=True):
    """Stands for a coin where a heatmap names its instrument; ``name`` is the coin's."""

    @property
    def name(self) -> str:
        """The coin: ``BTC``, or ``simulated:BTC``."""
        return f"{SIMULATED}:{self.coin}" if self.exchange == SIMULATED else self.coin


@dataclass(frozen=True, eq=False)
class CoinHeatmap(Heatmap):
    """The sum of the heatmaps of a coin's instruments, on one grid; the first one leads."""

    members: tuple[Heatmap, ...]

    @property
    def parts(self) -> dict[str, tuple[F32, F32]]:
        """(long, short) [USD] by exchange; summed in order in float32 they are the whole."""
        names = dict.fromkeys(one.instrument.exchange for one in self.members)
        return {
            name: (
                total((name, one.long_usd) for one in self._of(name)),
                total((name, one.short_usd) for one in self._of(name)),
            )
            for name in names
        }

    def _of(self, exchange: str) -> list[Heatmap]:
        return [one for one in self.members if one.instrument.exchange == exchange]

    @property
    def shown_tiers(self) -> tuple[float, ...]:
        """The tiers which are shown of any member."""
        return tuple(sorted({tier for one in self.members for tier in one.shown_tiers}))

    def band(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse: errors are learnt of each instrument alone, and do not add up."""
        raise UnavailableError("a coin has no band; ask for one of its instruments")

    bands = band

    def tier_usd(self, k: int) -> tuple[F32, F32]:
        """Return (long, short) of one leverage over all members which have it."""
        if not 0 <= k < len(self.tiers):
            return super().tier_usd(k)
        found = [
            (one.instrument.exchange, one.tier_usd(one.tiers.index(self.tiers[k])))
            for one in self.members
            if self.tiers[k] in one.tiers
        ]
        return (
            total((name, long_usd) for name, (long_usd, _) in found),
            total((name, short_usd) for name, (_, short_usd) in found),
        )

    @property
    def open_interest_usd(self) -> F64:
        """One side's open interest of all members at the column's close [USD]."""
        return sum_known(one.open_interest_usd for one in self.members)

    @property
    def residual_long_usd(self) -> F64:
        """Open interest of all members which no long level explains [USD]."""
        return sum_known(one.residual_long_usd for one in self.members)

    @property
    def residual_short_usd(self) -> F64:
        """Open interest of all members which no short level explains [USD]."""
        return sum_known(one.residual_short_usd for one in self.members)


def sum_known(values: Iterable[F64]) -> F64:
    """Return the sum; what is not known of one is left out, NaN where of none it is known."""
    every = np.stack(list(values))
    known = np.isfinite(every)
    return np.where(known.any(axis=0), np.where(known, every, 0.0).sum(axis=0), np.nan)


def sum_heatmaps(members: Sequence[Heatmap], notes: Sequence[str] = ()) -> CoinHeatmap:
    """Return the heatmap of a coin from those of its instruments, the leading one first.

    Raises
    ------
    BadInputError
        They do not stand on the same columns and rows, or belong to several coins.
    """
    lead = members[0]
    names = {coin_name(one.instrument) for one in members}
    same = all(
        np.array_equal(one.start_ms, lead.start_ms)
        and np.array_equal(one.price_edges, lead.price_edges)
        for one in members
    )
    if not same or len(names) > 1:
        raise BadInputError(
            "heatmaps of different coins or grids cannot be added", where="members",
            value=sorted(one.instrument.name for one in members),
            do="build them with the same price_min, price_max, bins, window and step",
        )  # fmt: skip
    whole = members if len(members) == 1 else _ordered(members)
    own = {one.name: getattr(lead, one.name) for one in dataclasses.fields(Heatmap)}
    close = np.where(np.isfinite(lead.close), lead.close, np.nan)
    interest = sum_known(one.open_interest_usd for one in whole)
    for side in ("long", "short"):
        own[f"{side}_usd"] = total(
            (one.instrument.exchange, getattr(one, f"{side}_usd")) for one in whole
        )
        own[f"outside_{side}_usd"] = sum_known(
            getattr(one, f"outside_{side}_usd") for one in whole
        )
        residual = sum_known(getattr(one, f"residual_{side}_usd") for one in whole)
        own[f"level_{side}_qty"] = (interest - residual) / close
    own |= {
        "instrument": _instrument_of(lead.instrument),
        "open_interest_qty": interest / close,
        "capped": np.any([one.capped for one in whole], axis=0),
        "tiers": tuple(sorted({tier for one in whole for tier in one.tiers})),
        "quality": joint_quality(
            [one.quality for one in whole], lead.instrument.name, notes
        ),
    }
    return CoinHeatmap(**own, members=tuple(whole))


def _ordered(members: Sequence[Heatmap]) -> list[Heatmap]:
    return [members[0], *sorted(members[1:], key=lambda one: one.instrument.name)]


def _instrument_of(lead: Instrument) -> CoinInstrument:
    fields = {name: getattr(lead, name) for name in Instrument.__struct_fields__}
    exchange = SIMULATED if lead.exchange == SIMULATED else "all"
    # Its sums are in base units at the close, whatever the members settle in.
    return CoinInstrument(
        **{**fields, "exchange": exchange, "symbol": lead.coin, "settlement": "linear"}
    )


def joint_quality(
    parts: Sequence[Quality], lead: str, notes: Sequence[str] = ()
) -> Quality:
    """Return how far a sum can be trusted: as far as its weakest part."""
    sources = {one.mark_source for one in parts}
    every = [f"candles of {lead}", *notes]
    every += [note for note in dict.fromkeys(n for one in parts for n in one.notes)]
    return msgspec.structs.replace(
        parts[0],
        warm_days=min(one.warm_days for one in parts),
        usd_scale="usd" if all(one.usd_scale == "usd" for one in parts) else "relative",
        capped_steps=max(one.capped_steps for one in parts),
        open_interest_share=sum(one.open_interest_share for one in parts) / len(parts),
        mark_source=sources.pop() if len(sources) == 1 else "mixed",
        tiers_as_of=min(one.tiers_as_of for one in parts),
        notes=tuple(every),
    )


def nothing_of(name: str, exchanges: str | None) -> UnavailableError:
    """Return what to say where a coin has no bars."""
    of = f" from {exchanges}" if exchanges else ""
    return UnavailableError(f"{name}: no bars of this coin are stored{of} yet")
