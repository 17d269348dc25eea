"""The command line: parse, call, print.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once. Results go
to stdout, everything else to stderr. An error is one line and an exit code; Ctrl-C is 130 and
leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from liqheat import __version__
from liqheat.errors import BadInputError, LiqheatError
from liqheat.study.commands import Tools, study_group

if TYPE_CHECKING:
    import pyarrow as pa

    from liqheat.config import Config
    from liqheat.engine.heatmap import Heatmap
    from liqheat.service.query import Query

F = TypeVar("F", bound=Callable[..., Any])

EPILOG = """\b
Exit codes:
  0    done
  1    liqheat failed, or doctor found something broken
  2    a flag, environment variable or setting is wrong
  3    a file, row or parameter is wrong
  4    the store cannot be opened, read or written
  5    what was asked for does not exist (yet)
  6    the server cannot start
  130  stopped with Ctrl-C

Settings come from liqheat.toml in the data folder (or --config), from LIQHEAT_* environment
variables, and from flags; the later wins."""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="liqheat", message="%(prog)s %(version)s")
@click.option("--data-dir", metavar="DIR", help="Folder of the store.")
@click.option("--config", metavar="FILE", help="TOML file of settings.")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens to stderr.")
@click.pass_context
def cli(
    ctx: click.Context, data_dir: str | None, config: str | None, verbose: bool
) -> None:
    """Estimate where leveraged crypto positions would be liquidated, and show it."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr,
    )  # fmt: skip
    ctx.obj = (data_dir, config)


def _config(**flags: Any) -> Config:
    from liqheat.config import load_config

    data_dir, file = click.get_current_context().obj
    return load_config({"data_dir": data_dir, **flags}, file=file)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _address(command: F) -> F:
    command = click.option("--port", type=int, help="Port to listen on.  [8321]")(command)
    return click.option("--host", help="Address to listen on.  [127.0.0.1]")(command)


def _exchanges(command: F) -> F:
    for option in (
        click.option(
            "--coins", metavar="LIST", help="Coins to collect.  [BTC,ETH,SOL,XRP,DOGE]"
        ),
        click.option(
            "--exchanges", metavar="LIST", help="Exchanges to collect from.  [all]"
        ),
    ):
        command = option(command)
    return command


def _simulation(command: F) -> F:
    for option in (
        click.option("--regime", help="Regime of the simulated market.  [base]"),
        click.option("--seed", type=int, help="Seed of the simulated market.  [1]"),
        click.option("--speed", type=float, help="Market seconds per second."),
        click.option("--history-days", type=float, help="History to fetch at first.  [30]"),
        click.option(
            "--simulated", is_flag=True, default=None, help="The simulated market."
        ),
    ):
        command = option(command)
    return command


# -- running -------------------------------------------------------------------------------


@cli.command()
@_address
@_exchanges
@_simulation
@click.option("--instrument", help="Instrument to replay, exchange:symbol.")
@click.option("--replay", metavar="PATH", help="Play a data folder or files back.")
@click.option(
    "--offline", is_flag=True, default=None, help="Never try to reach an exchange."
)
@click.option("--browser/--no-browser", default=None, help="Open the page.  [yes]")
def up(**flags: Any) -> None:
    """Collect, serve and show: everything, in one process.

    Shows a replay if asked for; else live data of the exchanges and what is stored; where no
    exchange can be reached and nothing is stored, the simulated market.
    """
    from liqheat.serve import run

    run.up(_config(**flags), _say)


@cli.command()
@_address
def serve(**flags: Any) -> None:
    """Serve what is stored, following what another process collects."""
    from liqheat.serve import run

    run.serve(_config(**flags), _say)


@cli.command()
@_exchanges
@_simulation
def collect(**flags: Any) -> None:
    """Fill the store without serving: history first, then what happens, until stopped."""
    from liqheat.market.units import DAY_MS
    from liqheat.serve import run

    config = _config(**flags)
    with _progress("days") as progress:
        run.collect_only(
            config, _say,
            lambda name, done, total: progress(done // DAY_MS, -(-total // DAY_MS), name),
        )  # fmt: skip


# -- data ----------------------------------------------------------------------------------


@cli.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--instrument", required=True, help="Whose data it is, e.g. binance:BTCUSDT.")
@click.option("--map", "pairs", multiple=True, metavar="OURS=THEIRS", help="Name a column.")
@click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_(
    path: Path, instrument: str, pairs: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Import a file, or a folder's files of one instrument. The same twice changes nothing."""
    from liqheat.exchanges.base import wall_clock_ms
    from liqheat.exchanges.files import plan_import, run_import
    from liqheat.store import Store

    config = _config()
    now = wall_clock_ms()
    plan = plan_import(path, instrument, _mapping(pairs), now_ms=now)
    if dry_run:
        for line in plan.lines():
            _say(line)
        if as_json:
            _print_json({"dry_run": True, "instrument": instrument, "rows": plan.rows})
        return
    with Store.open(config.folder) as store, _progress("rows") as progress:
        report = run_import(store, plan, progress, now_ms=now)
    for line in plan.lines():
        _say(line)
    if as_json:
        counts = {"new": report.new, "changed": report.changed, "same": report.same}
        _print_json(
            {"dry_run": False, "instrument": instrument, "rows": plan.rows, **counts}
        )
        return
    for line in report.lines():
        click.echo(line)


def _mapping(pairs: tuple[str, ...]) -> dict[str, str]:
    out: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise click.BadParameter(f"{pair!r} is not OURS=THEIRS", param_hint="--map")
        out[ours.strip()] = theirs.strip()
    return out


def _heat(command: F) -> F:
    for option in (
        click.option(
            "--as-of", metavar="TIME", help="As known then: ms, or 2026-02-01T12:00."
        ),
        click.option("--leverage", metavar="MIX", help="Own mixture: 25:.5,50:.3,100:.2."),
        click.option("--scale", help="log or linear rows.  [log]"),
        click.option("--price-max", help="Upper edge [USD]."),
        click.option("--price-min", help="Lower edge [USD]."),
        click.option("--bins", help="Price rows.  [400]"),
        click.option("--step", help="Length of a column; chosen when not given."),
        click.option("--range", help="Length of the window: 12h to 1Y.  [3d]"),
        click.option("--model", help="auto, sharp, zones or calibrated.  [auto]"),
        click.option("--exchanges", metavar="LIST", help="Of a coin: only these."),
        click.option("--instrument", required=True, help="exchange:symbol, or a coin."),
    ):
        command = option(command)
    return command


@cli.command()
@_heat
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="File to write: .npz, .parquet or .arrow.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def build(output: Path, as_json: bool, **asked: Any) -> None:
    """Build a heatmap from the store and write it to a file."""
    from liqheat.serve.export import write_heatmap

    heatmap, _ = _build(asked)
    write_heatmap(heatmap, output)
    _report(heatmap, output, as_json)


@cli.command()
@_heat
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="File to write: .png.")  # fmt: skip
@click.option("--width", type=click.IntRange(200, 10_000), default=1600, show_default=True)
@click.option("--height", type=click.IntRange(150, 10_000), default=900, show_default=True)
@click.option("--light", is_flag=True, help="Light instead of dark.")
@click.option("--json", "as_json", is_flag=True, help="Print what was drawn as JSON.")
def plot(
    output: Path, width: int, height: int, light: bool, as_json: bool, **asked: Any
) -> None:
    """Draw a heatmap and realised liquidations from the store into a PNG file."""
    from liqheat.exchanges.base import wall_clock_ms
    from liqheat.serve import plot as drawing

    heatmap, liquidations = _build(asked)
    drawing.save_png(
        heatmap, output, liquidations=liquidations, width=width, height=height,
        dark=not light, now_ms=wall_clock_ms(),
    )  # fmt: skip
    _report(heatmap, output, as_json)


def _build(asked: dict[str, Any]) -> tuple[Heatmap, pa.Table]:
    """Return a heatmap and the realised liquidations in its window, as they were known."""
    import pyarrow as pa

    from liqheat.serve.sources import open_for
    from liqheat.service.learning import stored_weights
    from liqheat.service.window import build_stored, stored_members

    config = _config()
    query = _query(asked)
    with contextlib.ExitStack() as stack:
        store = open_for(config, query.instrument, stack)
        heatmap = build_stored(store, query, stored_weights(store))
        end_ms = heatmap.end_ms(-1)
        if query.as_of_ms is not None:
            end_ms = min(end_ms, query.as_of_ms)
        start_ms = int(heatmap.start_ms[0])
        return heatmap, pa.concat_tables(
            store.read("liquidations", name, start_ms, end_ms)
            for name in stored_members(store, query)
        )


def _query(asked: dict[str, Any]) -> Query:
    from liqheat.service.query import Query, parse_query

    given = {name: value for name, value in asked.items() if value is not None}
    if "as_of" in given:
        given["as_of_ms"] = _time_ms(given.pop("as_of"))
    return parse_query(given, Query)


def _time_ms(text: str) -> int:
    from datetime import UTC, datetime

    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(
            "is no time", where="--as-of", value=text,
            do="give milliseconds, or e.g. 2026-02-01T12:00 (UTC)",
        ) from None  # fmt: skip
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _report(heatmap: Heatmap, output: Path, as_json: bool) -> None:
    import msgspec

    steps, bins = heatmap.long_usd.shape
    if as_json:
        _print_json({
            "file": str(output), "instrument": heatmap.instrument.name, "steps": steps,
            "bins": bins, "step_ms": heatmap.step_ms, "start_ms": int(heatmap.start_ms[0]),
            "end_ms": heatmap.end_ms(-1), "model": heatmap.params.model,
            "model_version": heatmap.model_version,
            "quality": msgspec.to_builtins(heatmap.quality),
        })  # fmt: skip
        return
    click.echo(f"{output}: {heatmap.instrument.name}, {steps} steps x {bins} bins")
    for note in heatmap.quality.notes:
        _say(f"note: {note}")


@cli.command()
@_address
@_exchanges
@click.option("--offline", is_flag=True, default=None, help="Ask no exchange.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool, **flags: Any) -> None:
    """Look at the exchanges, the store, the page and the port, and say what is wrong.

    Of the exchanges the running server tells; where none runs, each is asked once.
    """
    import dataclasses

    from liqheat.serve.doctor import examine, lines

    findings = examine(_config(**flags))
    if as_json:
        _print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        click.echo("\n".join(lines(findings)))
    if any(finding.state == "broken" for finding in findings):
        sys.exit(1)


def _study_tools() -> Tools:
    def now_ms() -> int:
        from liqheat.exchanges.base import wall_clock_ms

        return wall_clock_ms()

    return Tools(lambda: _config().folder, _progress, _print_json, _time_ms, now_ms)


# -- printing ------------------------------------------------------------------------------


def _print_json(value: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@contextlib.contextmanager
def _progress(unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar with rate and time left on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total, name: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn(),
        bars.TextColumn(f"{unit}, {{task.fields[rate]}}/s"), bars.TimeRemainingColumn(),
    )  # fmt: skip
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, Any] = {}

        def update(done: int, total: int, name: str) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=total, rate="-")
            task = shown.tasks[list(tasks).index(name)]
            rate = f"{task.speed:,.0f}" if task.speed else "-"
            shown.update(tasks[name], completed=done, total=total, rate=rate)

        yield update


cli.add_command(study_group(_study_tools()))


def _fail(line: str, code: int) -> NoReturn:
    _say(f"liqheat: {line}")
    sys.exit(code)


def main() -> None:
    """Run the command line and exit."""
    try:
        cli.main(prog_name="liqheat", standalone_mode=False)
    except LiqheatError as error:
        _fail(" ".join(str(error).split()), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _say("liqheat: stopped")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has enough.
        sys.stderr.close()
        sys.exit(1)
