"""Which data ``up`` shows, each feed in a store of its own.

--replay PATH    a data folder or a file, played back from a scratch store, which holds
                 only what the replay clock has passed: nothing is known before its time
the data folder  real data: collected from the exchanges while we run; with --offline, or where
                 another process collects, what is stored, shown as old as it is
--simulated, or  the simulated market, in <data folder>/simulated/<regime>-<seed>-v<n>; at
no real data     another speed than 1 in a scratch store, for its time runs ahead of ours
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

from liqheat.config import Config
from liqheat.errors import BadInputError, SchemaVersionError, StoreBusyError
from liqheat.exchanges._agents import regime_named
from liqheat.exchanges.base import Exchange, wall_clock_ms
from liqheat.exchanges.directory import open_exchange
from liqheat.exchanges.files import plan_import, run_import
from liqheat.exchanges.replay import ReplayExchange
from liqheat.exchanges.simulated import (
    SIMULATOR_VERSION,
    SimulatedExchange,
)
from liqheat.market.instrument import SHIPPED
from liqheat.market.units import DAY_MS
from liqheat.service import Feed
from liqheat.service import coin as coins
from liqheat.service.feeds import Source
from liqheat.store import FILE_NAME, Store

Say = Callable[[str], None]

#: Simulated instruments which ``up`` runs; each costs seconds of simulated past at a start.
SIMULATED = ("simulated:BTCUSDT", "simulated:ETHUSDT")
DEFAULT_REPLAY_SPEED = 60.0
#: When a scratch import happened is of no interest to anybody.
_IMPORTED_MS = 1_700_000_000_000


def open_feeds(config: Config, say: Say, stack: contextlib.ExitStack) -> list[Feed]:
    """Open what ``up`` shows; ``stack`` closes it. Says in one line what that is."""
    if config.replay is not None:
        feed = open_replay(config, say, stack)
        say(f"liqheat: replaying {config.replay} at {feed.speed:g}x")
        return [feed]
    regime_named(config.regime)  # refused before a folder is made
    feeds = open_stored(config, stack) if config.offline else open_live(config, say, stack)
    if config.simulated or not feeds:
        if not feeds:
            say(
                "liqheat: offline and nothing is stored; starting the SIMULATED market: "
                "no real prices"
            )
        feeds.append(open_simulated(config, stack))
    elif config.offline:
        say(
            f"liqheat: offline; showing the recorded data in {config.folder} "
            f"(play it with --replay {config.folder})"
        )
    return feeds


def open_live(config: Config, say: Say, stack: contextlib.ExitStack) -> list[Feed]:
    """Open the data folder for collecting, or for reading where another process collects."""
    try:
        return [open_collecting(config, stack)]
    except StoreBusyError:
        say(
            f"liqheat: another process collects into {config.folder}; showing what it stores"
        )
        return [Feed(stack.enter_context(Store.open(config.folder, mode="r")))]


def open_collecting(config: Config, stack: contextlib.ExitStack) -> Feed:
    """Open the data folder and every exchange; nothing is asked of them yet.

    Raises
    ------
    StoreBusyError
        Another process writes there.
    """
    store = stack.enter_context(Store.open(config.folder))
    sources = {}
    for name in config.exchanges:
        exchange = open_exchange(name, config.coins, config.exchange_urls)
        sources[name] = Source(
            exchange=cast(Exchange, exchange), clock_ms=exchange.clock_ms
        )
    return Feed(store, sources=sources, coins=config.coins)


def open_stored(config: Config, stack: contextlib.ExitStack) -> list[Feed]:
    """Open the data folder for reading; empty where nothing is stored."""
    if not (config.folder / FILE_NAME).exists():
        return []
    try:
        store = Store.open(config.folder, mode="r")
    except SchemaVersionError:
        # Older: opening it for writing brings it up to date. Newer: that says so again.
        Store.open(config.folder).close()
        store = Store.open(config.folder, mode="r")
    stack.enter_context(store)
    if not any("bars" in one.spans for one in store.instruments()):
        return []
    return [Feed(store)]


def open_simulated(config: Config, stack: contextlib.ExitStack) -> Feed:
    """Open the simulated market; the same one goes on where it was left."""
    speed = config.speed or 1.0

    def market(history_days: float, start_ms: int | None = None) -> SimulatedExchange:
        return SimulatedExchange(
            seed=config.seed, regime=config.regime, speed=speed, start_ms=start_ms,
            history_days=history_days, remember=False,
        )  # fmt: skip

    exchange = market(
        config.history_days
    )  # refuses a wrong setting before a folder is made
    folder = _simulated_folder(config) if speed == 1.0 else _scratch(stack)
    store = stack.enter_context(Store.open(folder))
    spans = [store.span("bars", name) for name in SIMULATED]
    start = min((span.start_ms for span in spans if span is not None), default=None)
    if start is not None:
        exchange = market((wall_clock_ms() - start) / DAY_MS, start)
    return Feed(
        store, "simulated", attached=True, exchange=exchange, clock_ms=exchange.clock_ms,
        instruments=SIMULATED, speed=None if speed == 1.0 else speed,
    )  # fmt: skip


def open_replay(config: Config, say: Say, stack: contextlib.ExitStack) -> Feed:
    """Open a recording and a scratch store that it is played into."""
    path = Path(str(config.replay)).expanduser()
    speed = config.speed or DEFAULT_REPLAY_SPEED
    if _exists(path / FILE_NAME):
        recording = stack.enter_context(Store.open(path, mode="r"))
    else:
        recording = _imported(path, config, say, stack)
    if config.instrument and recording.span("bars", config.instrument) is None:
        held = [
            one.instrument.name for one in recording.instruments() if "bars" in one.spans
        ]
        raise BadInputError(
            "the recording has no bars of it", where="--instrument", value=config.instrument,
            do=f"it has: {', '.join(held) or 'nothing'}",
        )  # fmt: skip
    exchange = ReplayExchange(recording, speed=speed)
    store = stack.enter_context(Store.open(_scratch(stack)))
    return Feed(
        store, "replay", attached=True, exchange=exchange, clock_ms=exchange.clock_ms,
        instruments=(config.instrument,) if config.instrument else None, speed=speed,
    )  # fmt: skip


def open_for(config: Config, instrument: str, stack: contextlib.ExitStack) -> Store:
    """Open for reading whichever store has the bars of an instrument or a coin.

    The data folder's where none has.

    Raises
    ------
    UnavailableError
        Nothing is stored at all.
    """
    folders = [config.folder, _simulated_folder(config)]
    stores = [
        stack.enter_context(Store.open(folder, mode="r"))
        for folder in folders
        if (folder / FILE_NAME).exists()
    ]
    coin = coins.coin_of(instrument)
    for store in stores:
        for one in store.instruments():
            own = (one.instrument.coin, one.instrument.exchange == coins.SIMULATED)
            if "bars" in one.spans and (one.instrument.name == instrument or own == coin):
                return store
    return stores[0] if stores else stack.enter_context(Store.open(config.folder, mode="r"))


def _simulated_folder(config: Config) -> Path:
    name = f"{config.regime}-{config.seed}-v{SIMULATOR_VERSION}"
    return config.folder / "simulated" / name


def _imported(path: Path, config: Config, say: Say, stack: contextlib.ExitStack) -> Store:
    if not _exists(path):
        raise BadInputError(
            "there is no such file or folder", where="--replay", value=str(path),
            do="give a data folder, or a file or folder of bars",
        )  # fmt: skip
    store = stack.enter_context(Store.open(_scratch(stack)))
    names = [config.instrument] if config.instrument else _guesses(path)
    for name in names:
        try:
            plan = plan_import(path, name)
        except BadInputError:
            if config.instrument:
                raise
            continue
        run_import(store, plan, now_ms=_IMPORTED_MS)
        if not config.instrument:
            others = ", ".join(one for one in names if one != name)
            say(
                f"liqheat: taken for {name}"
                + (f" (--instrument: {others})" if others else "")
            )
        return store
    raise BadInputError(
        "cannot tell whose bars these are", where="--replay", value=str(path),
        do="add --instrument exchange:symbol, e.g. --instrument binance:BTCUSDT",
    )  # fmt: skip


def _guesses(path: Path) -> list[str]:
    """Return the shipped instruments which file names speak of."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    words = [set(re.split(r"[^a-z0-9]+", file.name.lower())) for file in files]
    return [
        name
        for name, one in SHIPPED.items()
        if any({one.exchange, one.symbol.lower()} <= found for found in words)
    ]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, or no right to look
        return False


def _scratch(stack: contextlib.ExitStack) -> Path:
    folder = tempfile.TemporaryDirectory(prefix="liqheat-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))
