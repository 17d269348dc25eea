"""liqheat: an open, self-hosted liquidation heatmap.

    import liqheat as lh

    bars = lh.read_bars("bars.parquet")
    heat = lh.build_heatmap(bars, lh.instrument("binance:BTCUSDT"), step_ms=300_000)

The names below are the library; what they need is imported when they are first used, so that
``import liqheat`` itself is free.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

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
    from liqheat.errors import (
        BadInputError,
        ConfigError,
        LiqheatError,
        ServeError,
        StoreError,
        UnavailableError,
    )
    from liqheat.exchanges.files import read_bars
    from liqheat.market.events import Bars, Liquidation
    from liqheat.market.instrument import Instrument, MarginTier, instrument
    from liqheat.market.margin import liquidation_price
    from liqheat.serve.export import write as write_heatmap
    from liqheat.serve.plot import save_png
    from liqheat.serve.wire import decode_picture
    from liqheat.store import Store

__all__ = [
    "MODEL_VERSION",
    "BadInputError",
    "Bars",
    "Column",
    "ConfigError",
    "Heatmap",
    "HeatmapParams",
    "Instrument",
    "LiqheatError",
    "Liquidation",
    "LiveHeatmap",
    "MarginTier",
    "Quality",
    "ServeError",
    "Store",
    "StoreError",
    "UnavailableError",
    "__version__",
    "build_heatmap",
    "decode_picture",
    "instrument",
    "liquidation_price",
    "read_bars",
    "save_png",
    "write_heatmap",
]

_HOMES = {
    "MODEL_VERSION": "engine",
    "BadInputError": "errors",
    "Bars": "market.events",
    "Column": "engine.heatmap",
    "ConfigError": "errors",
    "Heatmap": "engine.heatmap",
    "HeatmapParams": "engine.heatmap",
    "Instrument": "market.instrument",
    "LiqheatError": "errors",
    "Liquidation": "market.events",
    "LiveHeatmap": "engine.live",
    "MarginTier": "market.instrument",
    "Quality": "engine.heatmap",
    "ServeError": "errors",
    "Store": "store",
    "StoreError": "errors",
    "UnavailableError": "errors",
    "build_heatmap": "engine.heatmap",
    "decode_picture": "serve.wire",
    "instrument": "market.instrument",
    "liquidation_price": "market.margin",
    "read_bars": "exchanges.files",
    "save_png": "serve.plot",
    "write_heatmap": "serve.export:write",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'liqheat' has no attribute {name!r}"
        raise AttributeError(msg)
    module, _, other = home.partition(":")
    value = getattr(importlib.import_module(f"liqheat.{module}"), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
