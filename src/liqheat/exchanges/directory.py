"""Which real exchanges there are, by name: each a module of its own, imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from liqheat.errors import ConfigError

if TYPE_CHECKING:
    from liqheat.exchanges.ccxt_ import Ccxt
    from liqheat.exchanges.live import LiveExchange

#: Name -> class; the module has the exchange's name. The order is that of the page.
EXCHANGES = {
    "binance": "Binance", "bybit": "Bybit", "okx": "Okx", "hyperliquid": "Hyperliquid",
    "gate": "Gate", "bitget": "Bitget", "deribit": "Deribit", "dydx": "Dydx",
}  # fmt: skip


#: Names of exchanges which ccxt is asked for begin with this; ``ccxt:`` is understood too.
CCXT = "ccxt_"


def exchange_name(name: str) -> str:
    """Return how an exchange is called everywhere: ``ccxt:x`` as ``ccxt_x``.

    >>> exchange_name("ccxt:krakenfutures"), exchange_name("okx")
    ('ccxt_krakenfutures', 'okx')
    """
    return CCXT + name.removeprefix("ccxt:") if name.startswith("ccxt:") else name


def open_exchange(
    name: str, coins: Sequence[str], base_url: str | None = None
) -> LiveExchange | Ccxt:
    """Return the adapter of a real exchange; nothing is asked of it yet.

    Parameters
    ----------
    name : str
        A key of ``EXCHANGES``, or ``ccxt_`` and ccxt's name of any other.
    coins : sequence of str
        Coins whose instruments are wanted.
    base_url : str, optional
        A server which stands in for the exchange, see ``LiveExchange.urls_at``.

    Raises
    ------
    ConfigError
        ccxt is not installed, knows no such exchange, or cannot be sent to ``base_url``.
    """
    if name.startswith(CCXT):
        if base_url is not None:
            raise ConfigError(f"exchange_urls cannot stand in for {name}: ccxt asks it")
        from liqheat.exchanges.ccxt_ import Ccxt  # most do without it

        return Ccxt(name.removeprefix(CCXT), coins=tuple(coins))
    module = importlib.import_module(f"liqheat.exchanges.{name}")
    kind = getattr(module, EXCHANGES[name])
    urls = kind.urls_at(base_url) if base_url else None
    return cast("LiveExchange", kind(urls, coins=tuple(coins)))
