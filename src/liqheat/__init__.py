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
    from liqheat.engine.band import Band
    from liqheat.engine.heatmap import (
        Column,
        Heatmap,
        HeatmapParams,
        Quality,
        build_heatmap,
    )
    from liqheat.engine.live import LiveHeatmap
    from liqheat.engine.weights import Weights
    from liqheat.errors import (
        BadInputError,
        ConfigError,
        LiqheatError,
        ServeError,
        StoreError,
        UnavailableError,
    )
    from liqheat.exchanges.files import read_bars
    from liqheat.market.events import Bars, Liquidation, Liquidations
    from liqheat.market.instrument import Instrument, MarginTier, instrument
    from liqheat.market.margin import liquidation_price
    from liqheat.serve.export import write_heatmap
    from liqheat.serve.plot import save_png
    from liqheat.serve.wire import decode_picture
    from liqheat.store import Store
    from liqheat.study.calibrate import calibrate

__all__ = [
    "MODEL_VERSION",
    "BadInputError",
    "Band",
    "Bars",
    "Column",
    "ConfigError",
    "Heatmap",
    "HeatmapParams",
    "Instrument",
    "LiqheatError",
    "Liquidation",
    "Liquidations",
    "LiveHeatmap",
    "MarginTier",
    "Quality",
    "ServeError",
    "Store",
    "StoreError",
    "UnavailableError",
    "Weights",
    "__version__",
    "build_heatmap",
    "calibrate",
    "decode_picture",
    "instrument",
    "liquidation_price",
    "read_bars",
    "save_png",
    "write_heatmap",
]

_HOMES = {
    "engine": "MODEL_VERSION",
    "engine.heatmap": "Column Heatmap HeatmapParams Quality build_heatmap",
    "engine.band": "Band",
    "engine.live": "LiveHeatmap",
    "engine.weights": "Weights",
    "errors": "BadInputError ConfigError LiqheatError ServeError StoreError UnavailableError",
    "exchanges.files": "read_bars",
    "market.events": "Bars Liquidation Liquidations",
    "market.instrument": "Instrument MarginTier instrument",
    "market.margin": "liquidation_price",
    "serve.export": "write_heatmap",
    "serve.plot": "save_png",
    "serve.wire": "decode_picture",
    "store": "Store",
    "study.calibrate": "calibrate",
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names.split():
            value = getattr(importlib.import_module(f"liqheat.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'liqheat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
