"""What may be asked for: the query struct and its strict reading.

One struct serves the HTTP query string, the WebSocket's subscribe message and the OpenAPI
document. Reading is strict: an unknown or doubled name, a value outside its range or choice is
refused with the name, the value and the nearest right one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from liqheat.engine.heatmap import HeatmapParams, Model
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError

RangeName = Literal["12h", "24h", "48h", "3d", "1w", "2w", "1M", "3M", "6M", "1Y"]
StepName = Literal["1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]
ScaleName = Literal["log", "linear"]
ModelName = Literal["auto", "sharp", "zones", "calibrated"]


class UnknownParameterError(BadInputError):
    """A parameter which does not exist."""

    status = 400
    title = "Unknown parameter"


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which heatmap: the parameters common to all routes and the WebSocket."""

    instrument: Annotated[
        str,
        Meta(
            description="exchange:symbol, e.g. binance:BTCUSDT; or a coin over all "
            "exchanges, e.g. BTC",
            max_length=80,
        ),
    ]
    exchanges: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(description="of a coin: only these, e.g. binance,okx"),
    ] = None
    model: Annotated[
        ModelName,
        Meta(
            description="sharp: precise levels; zones: broad; calibrated: learnt weights; "
            "auto: calibrated where there are weights, else sharp"
        ),
    ] = "auto"
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
    tiers: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(
            description="of the model's leverages only these, as parts of the whole: 5,10"
        ),
    ] = None

    def model_for(self, weights: Sequence[Weights]) -> Model:
        """Return the model for an instrument with these learnt weights.

        A mixture of one's own leaves nothing to learn: with one, "auto" is sharp.
        """
        if self.model != "auto":
            return self.model
        return "calibrated" if weights and self.leverage is None else "sharp"

    def params(
        self, price_min: float, price_max: float, weights: Sequence[Weights] = ()
    ) -> HeatmapParams:
        """Return the engine's parameters on a price grid."""
        return HeatmapParams(
            model=self.model_for(weights), price_min=price_min, price_max=price_max,
            bins=self.bins, price_scale=self.scale, leverage=parse_leverage(self.leverage),
            tiers=parse_tiers(self.tiers),
        )  # fmt: skip

    def check(self) -> None:
        """Refuse what no data could answer.

        Raises
        ------
        BadInputError
            A price or the leverage mixture is wrong.
        """
        if not self.instrument.isprintable():
            raise BadInputError(
                "is no instrument", where="instrument", value=self.instrument,
                do="give it as exchange:symbol",
            )  # fmt: skip
        HeatmapParams(price_min=self.price_min, price_max=self.price_max)
        parse_leverage(self.leverage)
        parse_tiers(self.tiers)


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
    except UnicodeEncodeError as error:
        # Bytes of a command line which are no UTF-8 arrive as lone surrogates.
        raise BadInputError(
            "is not valid text", where="query", value=error.object
        ) from None
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


def parse_tiers(text: str | None) -> tuple[float, ...] | None:
    """Return the leverages of "5,10,25", ascending.

    Raises
    ------
    BadInputError
        Not of this form, or a leverage not above 1.

    >>> parse_tiers("10, 5x")
    (5.0, 10.0)
    """
    if text is None:
        return None
    try:
        found = {float(part.strip().removesuffix("x")) for part in text.split(",")}
    except ValueError:
        found = {math.nan}
    if not all(1 < one <= 1000 for one in found) or len(found) > 32:
        raise BadInputError(
            "not a list of leverages", where="tiers", value=text[:80],
            do="write leverages of the model, e.g. 5,10,25",
        )  # fmt: skip
    return tuple(sorted(found))
