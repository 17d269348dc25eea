"""The hidden positions of a simulated market, as states: what was open from when to when.

A position whose liquidation price or size changes (more margin, averaging down, the drift of a
cross account) leaves one state and takes the next, so that what was open at any moment, and
where it would have died, is a selection of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liqheat.exchanges._kernel import LOG, SLOT

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Columns = dict[str, NDArray[Any]]

_KEPT: dict[str, Any] = {
    "number": np.int32, "side": np.int8, "lots": np.int32, "entry": np.float64,
    "liquidation": np.float64, "leverage": np.float64, "isolated": np.bool_,
    "holding": np.int8, "opened": np.int32, "since": np.int32, "until": np.int32,
    "reason": np.int8,
}  # fmt: skip


@dataclass(frozen=True)
class Positions:
    """States of the agents' positions as columns; hidden from what the exchange publishes.

    ``number`` of the position; ``side`` +1 long, -1 short; ``qty`` and ``notional_usd`` at
    entry (base units, USD); ``opened`` step of the position, ``since`` of this state, since
    the market's start; ``closed`` step in which the state ended (-1: not yet); ``reason`` one
    of ``OPEN LIQUIDATED STOPPED PROFITED LEFT``, or ``CHANGED`` where the position went on.
    """

    number: I32
    side: NDArray[np.int8]
    lots: I32
    qty: F64
    notional_usd: F64
    entry_price: F64
    liquidation_price: F64
    leverage: F64
    isolated: NDArray[np.bool_]
    holding: NDArray[np.int8]
    opened: I32
    since: I32
    closed: I32
    reason: NDArray[np.int8]

    def __getitem__(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Positions:
        """Return the rows where ``keep`` is true, or those of the given numbers."""
        return Positions(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.number)

    def open_at(self, step: int) -> NDArray[np.bool_]:
        """Return which states hold at the start of ``step``, before anything happens in it."""
        return (self.since < step) & ((self.closed < 0) | (self.closed >= step))

    def last_states(self) -> Positions:
        """Return one row for each position: its last state."""
        order = np.lexsort((self.since, self.number))
        last = np.diff(self.number[order], append=-1) != 0
        return self[order[last]]


class Chunk:
    """Ended states, packed: what is kept of a day's log."""

    def __init__(self, log: NDArray[np.void]) -> None:
        for name in _KEPT:
            setattr(self, name, log[name].astype(_KEPT[name]))

    def select(self, step: int | None, *, whole: bool) -> Columns:
        """Return the states open at ``step``, or (``whole``) those begun before it."""
        columns = vars(self)
        if step is None:
            return columns
        keep = columns["since"] < step
        if not whole:
            keep &= (columns["until"] < 0) | (columns["until"] >= step)
        return {name: column[keep] for name, column in columns.items()}


def open_slots(slots: NDArray[np.void]) -> NDArray[np.void]:
    """Return the positions in use as rows of the log, not ended."""
    used = slots[slots["side"] != 0]
    rows = np.zeros(len(used), dtype=LOG)
    for name in _KEPT:
        if name in (SLOT.names or ()):
            rows[name] = used[name]
    rows["until"] = -1
    return rows


def to_positions(parts: list[Columns], lot: float, *, inverse: bool) -> Positions:
    """Return the rows of several chunks as one table."""
    of = {name: np.concatenate([part[name] for part in parts]) for name in _KEPT}
    stable, entry = of["lots"] * lot, of["entry"]
    return Positions(
        number=of["number"], side=of["side"], lots=of["lots"],
        qty=stable / entry if inverse else stable,
        notional_usd=stable if inverse else stable * entry,
        entry_price=entry, liquidation_price=of["liquidation"], leverage=of["leverage"],
        isolated=of["isolated"], holding=of["holding"], opened=of["opened"],
        since=of["since"], closed=of["until"], reason=of["reason"],
    )  # fmt: skip


def add_snapshots(
    states: Columns, steps: NDArray[np.int64], edges: F64, lot: float, maps: F64,
    *, inverse: bool,
) -> None:  # fmt: skip
    """Add states to maps of shape ``(2, t, p)``: long and short USD by liquidation price.

    ``steps`` ascend; a state is in the map of each step at whose start it holds.
    """
    until = np.where(states["until"] < 0, np.iinfo(np.int32).max, states["until"])
    first = np.searchsorted(steps, states["since"], side="right")
    counts = np.searchsorted(steps, until, side="right") - first
    row = np.searchsorted(edges, states["liquidation"], side="right") - 1
    keep = np.flatnonzero((counts > 0) & (row >= 0) & (row < len(edges) - 1))
    first, counts, row = first[keep], counts[keep], row[keep]
    usd = states["lots"][keep] * lot
    if not inverse:
        usd = usd * states["liquidation"][keep]
    side = (states["side"][keep] < 0).astype(np.int64)
    each = np.repeat(np.arange(len(keep)), counts)
    step = (
        np.arange(len(each)) - np.repeat(np.cumsum(counts) - counts, counts) + first[each]
    )
    flat = (side[each] * maps.shape[1] + step) * maps.shape[2] + row[each]
    maps += np.bincount(flat, usd[each], maps.size).reshape(maps.shape)
