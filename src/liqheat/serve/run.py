"""The server process: ``up`` (collect, serve, show) and ``serve`` (show what is stored).

One asyncio process. What is shown, in this order of preference: a replay, if asked for; the
recorded or collected data of the store; and, where no exchange can be reached, the simulated
market, which lives in a folder of its own and is called simulated everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import tempfile
import time
import webbrowser
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from liqheat import collect
from liqheat.config import Config
from liqheat.errors import ConfigError, LiqheatError, ServeError, UnavailableError
from liqheat.exchanges.base import Exchange
from liqheat.market.events import Event
from liqheat.serve.app import create_app
from liqheat.serve.http import LOOPBACK
from liqheat.service import Feed, Service
from liqheat.store import Store

log = logging.getLogger("liqheat.run")
Say = Callable[[str], None]

#: Largest message a client may send; none of ours is longer than a few hundred bytes.
MAX_CLIENT_FRAME = 8_192
#: How long open requests and sockets get on a stop [s].
STOP_S = 3


def wall_clock_ms() -> int:
    """Return the machine's time in milliseconds UTC."""
    return time.time_ns() // 1_000_000
