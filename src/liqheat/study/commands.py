"""The command group ``liqheat study``: parse, call, print.

Nothing heavy is imported before a command runs. What belongs to the command line (settings,
the progress bar, how a time is written) is handed in, because this package lies below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from liqheat.errors import BadInputError, UnavailableError

if TYPE_CHECKING:
    from liqheat.engine.heatmap import Model
    from liqheat.study.market import Market
    from liqheat.study.report import Report

REGIMES = "base,cross,retail,churn,alt"
MODELS = "sharp,zones,calibrated"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tools:
    """What the command line lends: the data folder, a progress bar, printing, times, now."""

    folder: Callable[[], Path]
    progress: Callable[[str], AbstractContextManager[Progress]]
    print_json: Callable[[object], None]
    time_ms: Callable[[str], int]
    now_ms: Callable[[], int]


def study_group(tools: Tools) -> click.Group:
    """Return the group with its commands."""

    @click.group()
    def study() -> None:
        """Ask how true the map is: score it, calibrate it, test the magnet."""

    study.add_command(_calibrate(tools))
    study.add_command(_score(tools))
    study.add_command(_magnet(tools))
    return study


def _where(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options which say what markets to study."""
    for option in (
        click.option("--end", metavar="TIME", help="Use nothing from here on (recorded data)."),
        click.option("--start", metavar="TIME", help="Judge from here on (recorded data)."),
        click.option("--instrument", multiple=True, metavar="NAME",
                     help="Study what is stored of exchange:symbol instead of simulations."),
        click.option("--days", type=float, default=65.0, show_default=True,
                     help="Length of a simulated market; 25 are warm-up."),
        click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True,
                     help="Simulated markets of each regime: seeds 1 to this."),
        click.option("--markets", default=REGIMES, show_default=True,
                     help="Regimes of the simulated market."),
    ):  # fmt: skip
        function = option(function)
    return function


_SEED = click.option(
    "--seed", type=int, default=1, show_default=True, help="Seed of the bootstrap."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def _calibrate(tools: Tools) -> click.Command:
    @click.command("calibrate")
    @click.option("--instrument", multiple=True, metavar="NAME",
                  help="exchange:symbol; all with stored liquidations if not given.")  # fmt: skip
    @click.option("--end", metavar="TIME", help="Use nothing from here on.")
    @click.option("--dry-run", is_flag=True, help="Learn and tell, but write nothing.")
    @_JSON
    def calibrate(
        instrument: tuple[str, ...], end: str | None, dry_run: bool, as_json: bool
    ) -> None:
        """Learn the weights of the calibrated model, day by day, and keep them with their dates.

        Instruments are learnt together: each is lent what its coin and exchange share, and
        where positions are public their shape is the coin's prior.

        Needs stored bars of at most 15 minutes and liquidations. What was kept before is
        replaced, because it is learnt anew from the first day on.
        """
        end_ms = None if end is None else tools.time_ms(end)
        with tools.progress("instruments") as progress:
            learnt = _learn_all(tools, instrument, end_ms, dry_run, progress)
        if as_json:
            tools.print_json(learnt)
            return
        for row in learnt:
            click.echo("{instrument}: {words}".format(**row))

    return calibrate


def _learn_all(
    tools: Tools,
    names: tuple[str, ...],
    end_ms: int | None,
    dry_run: bool,
    progress: Progress,
) -> list[dict[str, Any]]:
    from liqheat.store import Store
    from liqheat.study.calibrate import walk_forward, weights_row, write_weights
    from liqheat.study.market import stored, stored_positions

    rows = []
    with Store.open(tools.folder(), mode="r") as store:
        held = [one.instrument.name for one in store.instruments()
                if {"bars", "liquidations"} <= one.spans.keys()]  # fmt: skip
        if not (names or held):
            raise UnavailableError(
                f"{tools.folder()} holds no instrument with bars and liquidations; import a "
                "recorded tape, or collect for some days"
            )
        markets, told = [], []
        for done, name in enumerate(names or held):
            progress(done, len(names or held), name)
            markets.append(stored(store, name, None, end_ms))
            told.append(stored_positions(store, name, end_ms))
    progress(len(markets), len(markets) + 1, "learning")
    for market, weights in zip(markets, walk_forward(markets, told), strict=True):
        path = None
        if weights and not dry_run:
            path = write_weights(tools.folder(), market.instrument, weights)
        rows.append(weights_row(market, weights, path))
    progress(len(rows), len(rows), "")
    return rows


def _score(tools: Tools) -> click.Command:
    @click.command("score")
    @_where
    @click.option("--models", default=MODELS, show_default=True, help="Models to score.")
    @_SEED
    @click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False),
                  help="Folder to write accuracy.json, .md and .html into.")  # fmt: skip
    @_JSON
    def score(output: Path | None, as_json: bool, **asked: Any) -> None:
        """Score models and null models on simulated markets, or on recorded liquidations."""
        from liqheat.study.report import write_report

        report = _run(tools, asked)
        if output is not None:
            for path in write_report(report, output):
                click.echo(str(path), err=True)
        if as_json:
            tools.print_json(report.content)
        else:
            click.echo(report.markdown())

    return score


def _magnet(tools: Tools) -> click.Command:
    @click.command("magnet")
    @_where
    @click.option(
        "--model", default="zones", show_default=True, help="Whose map is tested."
    )
    @click.option(
        "--distance",
        type=click.FloatRange(0.002, 0.08),
        default=0.02,
        show_default=True,
        help="How far a race goes each way, ln(price).",
    )
    @_SEED
    @_JSON
    def magnet_command(
        model: str, distance: float, seed: int, as_json: bool, **asked: Any
    ) -> None:
        """Test whether the price goes where the map is bright, and say what could be found."""
        import msgspec

        from liqheat.study.magnet import magnet

        (chosen,) = _models(model)[:1]
        with tools.progress("markets") as progress:
            total = _count(asked)
            markets = []
            for market in _markets(tools, asked, progress, total, liquidations=False):
                markets.append(market)
                progress(len(markets), total, market.name)
        found = magnet(markets, model=chosen, distance=distance, seed=seed)
        if as_json:
            tools.print_json(msgspec.to_builtins(found))
        else:
            click.echo(found.words())

    return magnet_command


def _run(tools: Tools, asked: dict[str, Any]) -> Report:
    from liqheat.study.pictures import picture_all
    from liqheat.study.report import Report
    from liqheat.study.score import score_market

    models = _models(asked["models"])
    report = Report(models=list(models), seed=asked["seed"], made_ms=tools.now_ms())
    with tools.progress("markets") as progress:
        total = _count(asked)
        for market in _markets(tools, asked, progress, total):
            progress(len(report.content.results), total, market.name)
            result, forecasts, snaps = score_market(market, models, seed=asked["seed"])
            report.add(result, picture_all(market, forecasts, snaps))
            progress(len(report.content.results), total, market.name)
            # A simulated market holds a gigabyte of positions: let it go before the next.
            del market, forecasts, snaps
    return report


def _models(text: str) -> tuple[Model, ...]:
    from liqheat.engine.heatmap import MODELS as KNOWN

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in KNOWN:
            raise BadInputError("no such model", where="--models", value=name,
                                do=f"use {', '.join(KNOWN)}")  # fmt: skip
    if not names:
        raise BadInputError("names no model", where="--models", value=text)
    return names  # type: ignore[return-value]


def _count(asked: dict[str, Any]) -> int:
    if asked["instrument"]:
        return len(asked["instrument"])
    return len(_regimes(asked["markets"])) * int(asked["seeds"])


def _regimes(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _markets(
    tools: Tools, asked: dict[str, Any], progress: Progress, total: int,
    *, liquidations: bool = True,
) -> Iterator[Market]:  # fmt: skip
    if asked["instrument"]:
        yield from _stored(tools, asked, liquidations)
        return
    from liqheat.study.market import check_simulated, simulated

    for name in ("start", "end"):
        if asked[name] is not None:
            raise BadInputError(
                "is for recorded data only", where=f"--{name}", value=asked[name],
                do="add --instrument, or leave it out",
            )  # fmt: skip
    regimes, done = _regimes(asked["markets"]), 0
    check_simulated(regimes, asked["days"])
    for regime in regimes:
        for seed in range(1, asked["seeds"] + 1):
            progress(done, total, f"{regime}-{seed}: making the market")
            yield simulated(regime, seed, asked["days"])
            done += 1


def _stored(tools: Tools, asked: dict[str, Any], liquidations: bool) -> Iterator[Market]:
    from liqheat.store import Store
    from liqheat.study.market import stored

    start, end = (
        None if asked[name] is None else tools.time_ms(asked[name])
        for name in ("start", "end")
    )
    with Store.open(tools.folder(), mode="r") as store:
        for name in asked["instrument"]:
            yield stored(store, name, start, end, liquidations=liquidations)
