"""Run the fake exchange by hand: ``make fake-exchange``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from liqheat.exchanges.base import wall_clock_ms
from tests.fake_exchange.market import Market
from tests.fake_exchange.scenario import SCENARIOS, soak
from tests.fake_exchange.server import FakeExchange, venue_types


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.fake_exchange", description=__doc__)
    names = list(venue_types())
    parser.add_argument("--port", type=int, default=9321)
    parser.add_argument("--scenario", default="normal", choices=[*SCENARIOS, "soak"])
    parser.add_argument(
        "--exchanges", default=",".join(names), help=f"of {','.join(names)}"
    )
    parser.add_argument("--trades", type=float, default=2.0, help="per second and coin")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


async def _serve(args: argparse.Namespace) -> None:
    names = args.exchanges.split(",")
    scenario = soak(86_400) if args.scenario == "soak" else SCENARIOS[args.scenario]
    market = Market(args.seed, trades_per_s=args.trades, burst=scenario.burst)
    fake = FakeExchange(names, market, scenario, wall_clock_ms, asyncio.sleep)
    base = await fake.start(args.port)
    print(
        f"fake exchange on {base}, scenario {scenario.name}; Ctrl-C ends it. Use it with:\n"
    )
    print(
        f"  LIQHEAT_EXCHANGE_URLS={base} liqheat up --exchanges {','.join(names)}\n",
        flush=True,
    )
    try:
        await fake.run()
    finally:
        await fake.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_arguments()))
