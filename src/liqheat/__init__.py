"""liqheat: an open, self-hosted liquidation heatmap.

    import liqheat as lh

    bars = lh.read_bars("bars.parquet")
    heat = lh.build_heatmap(bars, lh.instrument("binance:BTCUSDT"), lh.HeatmapParams())

Importing this computes nothing and loads nothing: a name is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liqheat.engine import MODEL_VERSION
    from liqheat.engine.heatmap import (
        Column,
        Heatmap,
        HeatmapParams,
        Quality,
        build_heatmap,
    )
    from liqheat.engine.live import LiveHeatmap
    from liqheat.errors import BadInputError, LiqheatError, UnavailableError
    from liqheat.exchanges.files import read_bars
    from liqheat.market.events import Bars
    from liqheat.market.instrument import Instrument, MarginTier, instrument
    from liqheat.market.margin import liquidation_price
    from liqheat.serve.plot import save_png
    from liqheat.store import Store

__version__ = "0.1.0"

__all__ = [
    "MODEL_VERSION", "BadInputError", "Bars", "Column", "Heatmap", "HeatmapParams", "Instrument",
    "LiqheatError", "LiveHeatmap", "MarginTier", "Quality", "Store", "UnavailableError",
    "build_heatmap", "instrument", "liquidation_price", "read_bars", "save_png",
]  # fmt: skip

_HOMES = {
    "engine": ("MODEL_VERSION",),
    "engine.heatmap": ("Column", "Heatmap", "HeatmapParams", "Quality", "build_heatmap"),
    "engine.live": ("LiveHeatmap",),
    "errors": ("BadInputError", "LiqheatError", "UnavailableError"),
    "exchanges.files": ("read_bars",),
    "market.events": ("Bars",),
    "market.instrument": ("Instrument", "MarginTier", "instrument"),
    "market.margin": ("liquidation_price",),
    "serve.plot": ("save_png",),
    "store": ("Store",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"liqheat.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'liqheat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
