"""Which real exchanges there are, by name: each a module of its own, imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from liqheat.exchanges.live import LiveExchange

#: Name -> class; the module has the exchange's name. The order is that of the page.
EXCHANGES = {
    "binance": "Binance", "bybit": "Bybit", "okx": "Okx", "hyperliquid": "Hyperliquid",
    "gate": "Gate", "bitget": "Bitget", "deribit": "Deribit", "dydx": "Dydx",
}  # fmt: skip


#: Names of exchanges which ccxt is asked for begin with this; ``ccxt:`` is understood too.
CCXT = "ccxt_"


def ccxt_name(name: str) -> str | None:
    """Return ccxt's name of an exchange; None of one of our own.

    >>> ccxt_name("ccxt_krakenfutures"), ccxt_name("ccxt:kucoin"), ccxt_name("okx")
    ('krakenfutures', 'kucoin', None)
    """
    for prefix in (CCXT, "ccxt:"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return None


def open_exchange(
    name: str, coins: Sequence[str], base_url: str | None = None
) -> LiveExchange:
    """Return the adapter of a real exchange; nothing is asked of it yet.

    Parameters
    ----------
    name : str
        A key of ``EXCHANGES``.
    coins : sequence of str
        Coins whose instruments are wanted.
    base_url : str, optional
        A server which stands in for the exchange, see ``LiveExchange.urls_at``.
    """
    module = importlib.import_module(f"liqheat.exchanges.{name}")
    kind = getattr(module, EXCHANGES[name])
    urls = kind.urls_at(base_url) if base_url else None
    return cast("LiveExchange", kind(urls, coins=tuple(coins)))
