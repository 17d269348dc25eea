"""One view kept up to date: the built window and what each new bar changes in it.

A view is a window of columns on fixed rows with a fixed ``v_max``. While those stand, every
change is a ``Delta`` of one column, and ``seq`` counts them. The picture is *redrawn* (seq goes
on, everybody gets it whole) when the rows or ``v_max`` must move, when the window has grown by
an eighth and drops its oldest columns, or when too much changed at once. Between redraws the
window only grows at its end, so a column's number means the same to every viewer.

A view of one instrument has one ``Part``; a view of a coin has one for each instrument of it.
The first part leads: its bars make the candles and open the columns. Others fill theirs in as
they come; until then the column shows their faded ledger. A column is the float32 sum of the
parts, exchange by exchange (``total``), so parts always add up to the whole, to the last bit.

Columns are kept as USD and as codes: a delta applied to the codes of a picture with the seq
before gives exactly the codes of a picture taken now.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.heatmap import Quality
from liqheat.exchanges.base import Mode
from liqheat.service.coin import joint_quality, total
from liqheat.service.history import BarRow
from liqheat.service.part import Built, BuiltPart, Inputs, Part
from liqheat.service.picture import (
    Delta,
    DeltaKind,
    Picture,
    price_scale,
    scale_top,
    to_codes,
)
from liqheat.service.query import Query
from liqheat.service.window import WARMUP_MS, is_too_near

F32 = NDArray[np.float32]
#: What came in of one instrument: closed bars, and the one under way.
News = tuple[Iterable[BarRow], BarRow | None]

#: More changed columns than this at once are sent as a picture.
MAX_DELTAS = 32
#: Bytes of a sparse frame beside its bins, against those of a whole column.
_SPARSE_EXTRA, _SPARSE_EACH = 2, 3


class LiveView:
    """A live heatmap which many viewers share.

    Parameters
    ----------
    query : Query
        What is drawn.
    mode : {"live", "simulated", "replay"}
        Goes into every picture.
    built : Built
        Its start.
    """

    def __init__(self, query: Query, mode: Mode, built: Built) -> None:
        self.query, self.mode = query, mode
        self.seq = 0
        self.adopt(built)

    def adopt(self, built: Built) -> None:
        """Start again from a new build: other rows, or bars that were missing."""
        heatmap, self.window = built.parts[0].heatmap, built.window
        self.params, self.asked = built.params, built.asked
        self.seq += 1
        self._outdated = False
        self.columns = n = len(heatmap.start_ms)
        self.t0_ms, self.step_ms = int(heatmap.start_ms[0]), heatmap.step_ms
        self.model_version, self.price_edges = heatmap.model_version, heatmap.price_edges
        edges = heatmap.price_edges
        self.price_min, self.price_max = float(edges[0]), float(edges[-1])
        self._scale = price_scale(edges, log_scale=self.query.scale == "log")
        room = max(self._most() + MAX_DELTAS + 1, n)
        self.parts = {one.name: Part(one, room) for one in built.parts}
        #: Parts which are not shown, but kept up to date for ``chosen``.
        self.spare: dict[str, Part] = {}
        self._candles = np.full((room, 5), np.nan, np.float32)
        self._candles[:n] = self.lead.candles[:n]
        self._sum()

    @property
    def every(self) -> dict[str, Part]:
        """All parts, shown or not."""
        return {**self.parts, **self.spare}

    def chosen(self, query: Query, names: Sequence[str]) -> LiveView | None:
        """Return a view of these of its instruments, without building anything.

        None where one of them was not asked for here, or the view is outdated.
        """
        every = self.every
        known = all(name in every or name in self.asked for name in names)
        names = [name for name in names if name in every]
        ready = [name for name in names if every[name].columns == self.columns]
        if self.outdated or not ready or not known:
            return None
        out = copy.copy(self)
        lead = max(ready, key=lambda name: (not every[name].inverse, every[name].traded()))
        order = [lead, *sorted(name for name in names if name != lead)]
        copies = copy.deepcopy(every)
        out.query, out.seq = query, 1
        out.parts = {name: copies[name] for name in order}
        out.spare = {name: part for name, part in copies.items() if name not in names}
        out._candles = out.lead.candles[: len(self._candles)].copy()
        out._sum()
        return out

    def _sum(self) -> None:
        # One part is its own sum; several have one array more.
        if len(self.parts) == 1:
            self._usd = self.lead.usd
        else:
            self._usd = np.zeros_like(self.lead.usd)
            self._usd[: self.columns] = self._total(slice(self.columns))
        self._fit()
        self._recode()

    def _fit(self) -> None:
        more = ((0, max(0, len(self._usd) - len(self._candles))), (0, 0))
        self._candles = np.pad(self._candles, more, constant_values=np.nan)

    def _total(self, rows: slice | int) -> F32:
        return total((one.exchange, one.usd[rows]) for one in self.parts.values())

    def adopt_part(self, built: BuiltPart) -> bool:
        """Take in one instrument anew, or for the first time; False if its grid is another.

        Draws the picture again.
        """
        heatmap = built.heatmap
        shift = (self.t0_ms - int(heatmap.start_ms[0])) // self.step_ms
        if heatmap.step_ms != self.step_ms or not np.array_equal(
            heatmap.price_edges, self.price_edges
        ):
            return False
        part = Part(built, len(self._usd) + max(shift, 0))
        part.drop(shift)
        # Bars which came while it was built are taken in with the next news of it.
        self.spare.pop(part.name, None)
        self.asked |= {part.name}
        parts = {**self.parts, part.name: part}
        order = [self.lead.name, *sorted(name for name in parts if name != self.lead.name)]
        self.parts = {name: parts[name] for name in order}
        self._fill_others()
        self._sum()
        self.seq += 1
        return True

    def drop_part(self, name: str) -> None:
        """Leave an instrument out from now on; draws the picture again."""
        if name in self.parts and name != self.lead.name:
            del self.parts[name]
            self._sum()
            self.seq += 1

    @property
    def lead(self) -> Part:
        """The instrument whose candles are drawn."""
        return next(iter(self.parts.values()))

    @property
    def outdated(self) -> bool:
        """Whether the view needs a new build, and takes nothing more until then."""
        return self._outdated or self.lead.outdated

    @outdated.setter
    def outdated(self, value: bool) -> None:
        self._outdated = value

    @property
    def outdated_parts(self) -> list[str]:
        """The instruments besides the lead which need a new build."""
        return [one.name for one in list(self.parts.values())[1:] if one.outdated]

    def _most(self) -> int:
        return self.window.wanted + max(self.window.wanted // 8, 16)

    def _recode(self) -> None:
        n = self.columns
        self.v_max = scale_top(float(self._usd[:n].max(initial=0.0)))
        self._codes = to_codes(self._usd, self.v_max)

    @property
    def end_ms(self) -> int:
        """End of the last closed bar of the lead."""
        return self.lead.end_ms

    @property
    def first_bar_ms(self) -> int:
        """Start of the lead's warm-up."""
        return self.lead.first_bar_ms

    @property
    def warm_from_ms(self) -> int:
        """Where the warm-up should begin."""
        return self.t0_ms - WARMUP_MS

    @property
    def quality(self) -> Quality:
        """How far it can be trusted."""
        if len(self.parts) == 1:
            return self.lead.quality
        every = [one.quality for one in self.parts.values()]
        return joint_quality(every, self.lead.name)

    @property
    def tiers(self) -> list[float]:
        """The leverage tiers which the model has of any part, shown or not."""
        return sorted({tier for one in self.parts.values() for tier in one.live.tiers})

    @property
    def has(self) -> Inputs:
        """Which inputs any of the parts carry."""
        flags = [one.has for one in self.parts.values()]
        return Inputs(
            any(one.open_interest for one in flags), any(one.taker_volume for one in flags),
            any(one.mark for one in flags),
        )  # fmt: skip

    @property
    def last_price(self) -> float | None:
        """Close of the newest column that has one."""
        close = self._candles[: self.columns, 3]
        known = np.flatnonzero(np.isfinite(close))
        return float(close[known[-1]]) if len(known) else None

    def picture(self) -> Picture:
        """Return a copy of the whole view as it stands."""
        n = self.columns
        return Picture(
            codes=self._codes[:n].copy(), candles=np.ascontiguousarray(self._candles[:n].T),
            t0_ms=self.t0_ms, step_ms=self.step_ms,
            p_lo=self._scale[0], p_step=self._scale[1],
            v_min=self.v_max / 1e5, v_max=self.v_max, log_scale=self.query.scale == "log",
            mode=self.mode, model=self.params.model, seq=self.seq,
        )  # fmt: skip

    def advance(
        self, closed: Iterable[BarRow], progress: BarRow | None
    ) -> list[Delta] | None:
        """Take in bars of the lead and return what changed; see ``advance_all``."""
        return self.advance_all({self.lead.name: (closed, progress)})

    def advance_all(self, news: Mapping[str, News]) -> list[Delta] | None:
        """Take in bars of any parts and return what changed; None if the picture was redrawn.

        Bars already taken are passed over. A bar that does not follow the last one leaves its
        part ``outdated``: it needs a new build, and takes nothing more until then.
        """
        before, deltas = self.seq, list[Delta]()
        self._overflow = False
        columns, touched = self.lead.columns, set[int]()
        for name, (closed, progress) in news.items():
            part = self.every.get(name)
            if part is None or (part is self.lead and self._outdated):
                continue
            changed = part.advance(closed, progress, self.t0_ms, self.step_ms)
            touched |= changed if name in self.parts else set()
        if self.lead.columns > columns:
            touched |= self._fill_others()
        for column in sorted(touched):
            if column < self.lead.columns:
                self._show(column, deltas)
        return self._settle(before, deltas)

    def _fill_others(self) -> set[int]:
        """Let parts without news show their faded ledger in the newest columns."""
        out = set[int]()
        for name, part in list(self.every.items())[1:]:
            filled = part.fill(
                self.lead.columns, self.lead.shown_end_ms, self.t0_ms, self.step_ms
            )
            out |= filled if name in self.parts else set()
        return out

    def _show(self, column: int, deltas: list[Delta]) -> None:
        if column >= min(len(self._usd), len(self._codes)):
            self._grow()
        usd = self._total(column)
        codes = to_codes(usd, self.v_max)
        kind: DeltaKind = "replace"
        if column == self.columns:
            self.columns, kind = column + 1, "append"
        self._overflow |= bool(usd.max(initial=0.0) > self.v_max)
        changed = np.flatnonzero(codes != self._codes[column])
        row = self.lead.candles[column]
        same = np.array_equal(row, self._candles[column], equal_nan=True)
        self._usd[column], self._codes[column], self._candles[column] = usd, codes, row
        if kind == "replace" and same and not len(changed):
            return
        self.seq += 1
        deltas.append(self._delta(kind, column, row, codes, changed))

    def _delta(
        self, kind: DeltaKind, column: int, row: F32, codes: NDArray[np.uint8],
        changed: NDArray[np.int64],
    ) -> Delta:  # fmt: skip
        candle = tuple(row.tolist())
        small = _SPARSE_EXTRA + _SPARSE_EACH * len(changed) < len(codes)
        if kind == "append" or not small:
            return Delta(kind, self.seq, column, candle, codes)
        bins = changed.astype(np.uint16)
        return Delta("sparse", self.seq, column, candle, codes[changed], bins)

    def _grow(self) -> None:
        # Only where many bars came at once; columns are dropped when all are in.
        more = ((0, len(self.lead.usd) - len(self._usd)), (0, 0))
        alone = len(self.parts) == 1
        self._usd = self.lead.usd if alone else np.pad(self._usd, more)
        more = ((0, len(self._usd) - len(self._codes)), (0, 0))
        self._codes = np.pad(self._codes, more)
        self._candles = np.pad(self._candles, more, constant_values=np.nan)

    def _drop_oldest(self) -> None:
        drop = self.columns - self.window.wanted
        for part in self.every.values():
            part.drop(drop)
        self._candles[: self.columns - drop] = self._candles[drop : self.columns].copy()
        self.columns -= drop
        self.t0_ms += drop * self.step_ms
        if len(self.parts) > 1:
            self._usd[: self.columns] = self._total(slice(self.columns))
        self._overflow = True

    def _settle(self, before: int, deltas: list[Delta]) -> list[Delta] | None:
        if self.columns > self._most():
            self._drop_oldest()
        price = self.last_price
        if price and is_too_near(self.query, price, self.price_min, self.price_max):
            self.outdated = True
        if not self._overflow and len(deltas) <= MAX_DELTAS:
            return deltas
        self._recode()
        self.seq = before + 1
        return None
