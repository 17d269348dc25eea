"""What may be asked for: the query structs, their strict reading, and the window they mean.

One struct serves the HTTP query string, the WebSocket's subscribe message and the OpenAPI
document. Reading is strict: an unknown or doubled name, a value outside its range or choice is
refused with the name, the value and the nearest right one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
import numpy as np
from msgspec import Meta

from liqheat.engine.heatmap import HeatmapParams, Model
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.units import INTERVAL_MS, RANGE_MS, interval_name

RangeName = Literal["12h", "24h", "48h", "3d", "1w", "2w", "1M", "3M", "6M", "1Y"]
StepName = Literal["1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]
ScaleName = Literal["log", "linear"]

#: The auto step is the shortest which gives no more columns than this.
AUTO_COLUMNS = 1_500
#: More columns than this are refused: a texture of 4096 is what old graphics chips can hold.
MAX_COLUMNS = 4_000
#: The rows reach at least this far (natural log) to both sides of the last price, so that the
#: levels of 10x and more leverage show ...
NEAR = 0.105
#: ... and this share of the window's own range beyond its extremes, at least ``BEYOND``.
BEYOND_SHARE, BEYOND = 0.12, 0.04
#: Edges lie on multiples of this (natural log): a picture does not shift with each step.
SNAP = 0.02
#: A live view is drawn on new rows when the price comes nearer than this to an edge.
TOO_NEAR = 0.05


class UnknownParameterError(BadInputError):
    """A parameter which does not exist."""

    status = 400
    title = "Unknown parameter"


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which heatmap: the parameters common to all routes and the WebSocket."""

    instrument: Annotated[
        str, Meta(description="exchange:symbol, e.g. binance:BTCUSDT", max_length=80)
    ]
    model: Annotated[Model, Meta(description="sharp: precise levels; zones: broad")] = (
        "sharp"
    )
    range: Annotated[RangeName, Meta(description="length of the window")] = "3d"
    step: Annotated[
        StepName | None, Meta(description="length of a column; chosen when not given")
    ] = None
    bins: Annotated[int, Meta(ge=50, le=2000, description="price rows")] = 400
    price_min: Annotated[
        float | None, Meta(description="lower edge [USD]; chosen when not given")
    ] = None
    price_max: Annotated[
        float | None, Meta(description="upper edge [USD]; chosen when not given")
    ] = None
    scale: Annotated[ScaleName, Meta(description="rows of equal ratio or width")] = "log"
    leverage: Annotated[
        str | None, Meta(description="own mixture: leverage:share,... e.g. 25:.5,50:.3")
    ] = None
    as_of_ms: Annotated[
        Annotated[int, Meta(ge=0, le=10**14)] | None,
        Meta(description="the map as known then; nothing later is used"),
    ] = None

    def params(self, price_min: float, price_max: float) -> HeatmapParams:
        """Return the engine's parameters on a price grid."""
        return HeatmapParams(
            model=self.model, price_min=price_min, price_max=price_max, bins=self.bins,
            price_scale=self.scale, leverage=parse_leverage(self.leverage),
        )  # fmt: skip

    def check(self) -> None:
        """Refuse what no data could answer.

        Raises
        ------
        BadInputError
            A price or the leverage mixture is wrong, or the model has no weights yet.
        """
        if not self.instrument.isprintable():
            raise BadInputError(
                "is no instrument", where="instrument", value=self.instrument,
                do="give it as exchange:symbol",
            )  # fmt: skip
        if self.model == "calibrated":
            raise BadInputError(
                "not available yet: there are no calibrated weights", where="model",
                value=self.model, do="use sharp or zones",
            )  # fmt: skip
        HeatmapParams(model=self.model, price_min=self.price_min, price_max=self.price_max)
        parse_leverage(self.leverage)


Q = TypeVar("Q", bound=msgspec.Struct)


def parse_query(raw: Mapping[str, Any], kind: type[Q]) -> Q:
    """Return a query struct from strings or JSON values.

    Raises
    ------
    UnknownParameterError
        A name is not one of the struct's; says the nearest one.
    BadInputError
        A value is missing, of the wrong type, or outside its choices or range.
    """
    names = kind.__struct_fields__
    for name in raw:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"use {', '.join(names)}"
            raise UnknownParameterError("no such parameter", where=str(name)[:80], do=hint)
    try:
        query = msgspec.convert(dict(raw), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _explain(error, raw, kind) from None
    if isinstance(query, Query):
        query.check()
    return query


def _explain(
    error: msgspec.ValidationError, raw: Mapping[str, Any], kind: type[msgspec.Struct]
) -> BadInputError:
    # "Invalid enum value 'x' - at `$.model`" or "... missing required field `instrument`"
    what, _, path = str(error).partition(" - at `$")
    field = path.strip("`.").split(".")[0].split("[")[0]
    if not field:
        field = what.rpartition("field `")[2].rstrip("`") if "field `" in what else ""
        return BadInputError("is required", where=field, do="give it as exchange:symbol")
    value = raw.get(field)
    choices = _choices(kind, field)
    if not choices:
        for wanted, words in _WANTED.items():
            if what.startswith(wanted):
                what = words + what.removeprefix(wanted).partition(",")[0]
        return BadInputError(what, where=field, value=_short(value))
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.6)
    do = f"use one of {', '.join(choices)}"
    if near:
        do = f"did you mean {near[0]}? {do}"
    return BadInputError("no such choice", where=field, value=_short(value), do=do)


#: msgspec's words -> ours; what follows up to a comma is the bound.
_WANTED = {
    "Expected `int | null`": "must be a whole number",
    "Expected `int`": "must be a whole number",
    "Expected `float | null`": "must be a number",
    "Expected `float`": "must be a number",
    "Expected `str | null`": "must be text",
    "Expected `str`": "must be text",
}


def _short(value: object) -> object:
    return value[:80] if isinstance(value, str) else value


def _choices(kind: type[msgspec.Struct], field: str) -> tuple[str, ...]:
    for info in msgspec.structs.fields(kind):
        if info.name == field:
            return tuple(a for a in _flat(info.type) if isinstance(a, str))
    return ()


def _flat(hint: Any) -> list[Any]:
    args = get_args(hint)
    return [leaf for arg in args for leaf in _flat(arg)] if args else [hint]


def parse_leverage(text: str | None) -> dict[float, float] | None:
    """Return {leverage: share} of "25:.5,50:.3"; the engine normalises the shares.

    Raises
    ------
    BadInputError
        Not of this form, a leverage twice or not above 1, or a share not positive.

    >>> parse_leverage("25:.5, 50:.3")
    {25.0: 0.5, 50.0: 0.3}
    """
    if text is None:
        return None
    out: dict[float, float] = {}
    for part in text.split(","):
        leverage, _, share = part.partition(":")
        try:
            key, value = float(leverage), float(share)
        except ValueError:
            key = value = math.nan
        if not (1 < key <= 1000 and 0 < value < 1e9) or key in out or len(out) >= 32:
            raise BadInputError(
                "not a mixture of leverages", where="leverage", value=text[:80],
                do="write leverage:share pairs, e.g. 25:.5,50:.3,100:.2",
            )  # fmt: skip
        out[key] = value
    return out


@dataclass(frozen=True)
class Window:
    """The columns of a query: ``[start_ms, end_ms)`` in steps, and how many were wanted."""

    start_ms: int
    end_ms: int
    step_ms: int
    wanted: int

    @property
    def columns(self) -> int:
        """Columns there are data for."""
        return (self.end_ms - self.start_ms) // self.step_ms


def choose_window(query: Query, interval_ms: int, first_ms: int, last_ms: int) -> Window:
    """Return the window that ends with the step under way at ``last_ms``.

    Parameters
    ----------
    query : Query
        Range and step.
    interval_ms : int
        Interval of the stored bars.
    first_ms, last_ms : int
        Span of the stored bars, half-open: nothing is drawn before the first.

    Raises
    ------
    BadInputError
        The step is no multiple of the bars' interval, or gives too many columns.
    """
    span = RANGE_MS[query.range]
    step = _auto_step(span, interval_ms) if query.step is None else INTERVAL_MS[query.step]
    usable = [n for n in get_args(StepName) if INTERVAL_MS[n] % interval_ms == 0]
    if step % interval_ms:
        raise BadInputError(
            f"the stored bars are {interval_name(interval_ms)}", where="step", value=query.step,
            do=f"use one of {', '.join(usable)}",
        )  # fmt: skip
    wanted = -(-span // step)
    if wanted > MAX_COLUMNS:
        fitting = [n for n in usable if -(-span // INTERVAL_MS[n]) <= MAX_COLUMNS]
        raise BadInputError(
            f"{query.range} has {wanted} columns of {interval_name(step)}; "
            f"at most {MAX_COLUMNS} are drawn",
            where="step", value=query.step, do=f"use one of {', '.join(fitting)}",
        )  # fmt: skip
    end = -(-last_ms // step) * step
    return Window(max(end - wanted * step, first_ms // step * step), end, step, wanted)


def _auto_step(span_ms: int, interval_ms: int) -> int:
    steps = [INTERVAL_MS[name] for name in get_args(StepName)]
    fitting = [
        s for s in steps if s % interval_ms == 0 and -(-span_ms // s) <= AUTO_COLUMNS
    ]
    return (
        fitting[0] if fitting else -(-span_ms // (AUTO_COLUMNS * interval_ms)) * interval_ms
    )


def choose_rows(query: Query, bars: Bars, window: Window) -> tuple[float, float]:
    """Return the lowest and highest price of the rows.

    The window's prices, widened so that the near levels show, on snapped edges; an edge the
    query gives is taken as it is.
    """
    first = int(np.searchsorted(bars.start_ms, window.start_ms))
    shown = bars[min(first, len(bars) - 1) :]
    low, high = math.log(float(shown.low.min())), math.log(float(shown.high.max()))
    last = math.log(float(bars.close[-1]))
    beyond = max(BEYOND, BEYOND_SHARE * (high - low))
    bottom = math.floor(min(low - beyond, last - NEAR) / SNAP) * SNAP
    top = math.ceil(max(high + beyond, last + NEAR) / SNAP) * SNAP
    price_min = math.exp(bottom) if query.price_min is None else query.price_min
    price_max = math.exp(top) if query.price_max is None else query.price_max
    if price_min >= price_max:
        field = "price_min" if query.price_max is None else "price_max"
        raise BadInputError(
            f"leaves no rows: the prices drawn are {price_min:g} to {price_max:g}",
            where=field, value=getattr(query, field), do="give both edges or a nearer one",
        )  # fmt: skip
    return price_min, price_max


def is_too_near(query: Query, price: float, price_min: float, price_max: float) -> bool:
    """Return whether a live price is so near to a chosen edge that the rows must move."""
    low = query.price_min is None and math.log(price / price_min) < TOO_NEAR
    high = query.price_max is None and math.log(price_max / price) < TOO_NEAR
    return low or high
