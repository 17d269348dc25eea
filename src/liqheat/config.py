"""Settings: one frozen struct, defaults stated once.

    defaults  <  TOML file  <  environment LIQHEAT_*  <  flags

The file is ``--config``, else ``$LIQHEAT_CONFIG``, else ``liqheat.toml`` in the data folder if
it is there. A name that does not exist is an error wherever it stands, with the nearest name.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import platformdirs
from msgspec import Meta

from liqheat.errors import ConfigError
from liqheat.exchanges.directory import CCXT, EXCHANGES, exchange_name

PREFIX = "LIQHEAT_"
FILE_NAME = "liqheat.toml"


def default_data_dir() -> str:
    """Return the platform's folder for the user's data of liqheat."""
    return platformdirs.user_data_dir("liqheat", appauthor=False)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. Durations carry their unit in the name."""

    #: Folder of the store.
    data_dir: str = msgspec.field(default_factory=default_data_dir)
    #: Address and port to listen on. Anything but a loopback address is reachable by others.
    host: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8321
    #: Web origins besides our own which may use the server, e.g. https://heat.example.org.
    allowed_origins: tuple[str, ...] = ()
    #: Never try to reach an exchange.
    offline: bool = False
    #: Exchanges to collect from, and the coins whose instruments are wanted.
    exchanges: tuple[str, ...] = tuple(EXCHANGES)
    coins: tuple[str, ...] = ("BTC", "ETH", "SOL", "XRP", "DOGE")
    #: A server which stands in for every exchange, for tests.
    exchange_urls: str | None = None
    #: File or data folder to play back instead of a live market.
    replay: str | None = None
    #: Speed of the replay or the simulated market: seconds of market time per second.
    speed: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    #: Instrument of a replayed file; the one instrument to replay of a data folder.
    instrument: str | None = None
    #: Run the simulated market also where there are recorded data.
    simulated: bool = False
    #: Seed and regime of the simulated market.
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 1
    regime: str = "base"
    #: Open the page in a browser on ``up``.
    browser: bool = True
    #: History that is fetched on first start.
    history_days: Annotated[float, Meta(gt=0, le=3650)] = 30.0

    @property
    def folder(self) -> Path:
        """``data_dir`` as a path, with ``~`` expanded."""
        return Path(self.data_dir).expanduser()


NAMES = Config.__struct_fields__
#: Settings which are lists; as text, separated by commas.
_LISTS = ("allowed_origins", "exchanges", "coins")
#: What people write in an environment variable, besides true, false, 1 and 0.
_BOOLEANS = {"yes": True, "on": True, "no": False, "off": False}


def load_config(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: str | Path | None = None,
) -> Config:
    """Return the settings in force.

    Parameters
    ----------
    flags : mapping, optional
        Settings given on the command line; None values are "not given".
    environ : mapping, optional
        The environment; that of the process where None.
    file : path, optional
        A TOML file, which must then be there.

    Raises
    ------
    ConfigError
        A name is unknown or a value cannot be used; says which, and where it stands.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    from_env = _from_environment(environ)
    file = file or environ.get(f"{PREFIX}CONFIG")
    from_file = _from_file(file, {**from_env, **given})
    settings: dict[str, Any] = {}
    for values, where in (
        (from_file, str(file or FILE_NAME)), (from_env, "environment"), (given, "flags"),
    ):  # fmt: skip
        for name, value in values.items():
            settings[name] = _checked(name, value, where)
    config = Config(**settings)
    _check_folder(config)
    _check_exchanges(config.exchanges)
    _check_coins(config.coins)
    return config


def _check_folder(config: Config) -> None:
    try:
        config.folder.exists()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"data_dir = {config.data_dir[:80]!r} cannot be used: {reason}; "
            "choose another folder"
        ) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in environ.items():
        if not key.startswith(PREFIX) or key == f"{PREFIX}CONFIG":
            continue
        name = key.removeprefix(PREFIX).lower()
        _refuse_unknown(name, key, "environment", PREFIX)
        out[name] = value
    return out


def _from_file(file: str | Path | None, known: Mapping[str, Any]) -> dict[str, Any]:
    if file is None:
        folder = known.get("data_dir") or default_data_dir()
        file = os.path.join(os.path.expanduser(str(folder)), FILE_NAME)  # noqa: PTH111, PTH118
        if not os.path.exists(file):  # noqa: PTH110 -- a folder that cannot be is told later
            return {}
    try:
        values = tomllib.loads(Path(file).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no such file; check --config") from None
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    for name in values:
        _refuse_unknown(name, name, str(file))
    return values


def _refuse_unknown(name: str, as_written: str, where: str, prefix: str = "") -> None:
    if name in NAMES:
        return
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
    meant = prefix + near[0].upper() if near and prefix else "".join(near)
    hint = f"did you mean {meant}?" if near else f"use one of {', '.join(NAMES)}"
    raise ConfigError(f"{where}: unknown setting {as_written!r}; {hint}")


def _checked(name: str, value: Any, where: str) -> Any:
    _refuse_unknown(name, name, where)
    kind = next(f.type for f in msgspec.structs.fields(Config) if f.name == name)
    if kind is bool:
        value = _BOOLEANS.get(str(value).lower(), value)
    if name in _LISTS and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if name == "exchanges" and isinstance(value, list):
        value = [exchange_name(str(one)) for one in value]
    if name == "coins" and isinstance(value, list):
        value = [str(coin).upper() for coin in value]
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        words = str(error).partition(" - at")[0]
        raise ConfigError(f"{where}: {name} = {value!r} cannot be used: {words}") from None


def _check_exchanges(names: tuple[str, ...]) -> None:
    for name in names:
        # Whether ccxt is there, and knows it, is seen when it is opened.
        if name not in EXCHANGES and not (name.startswith(CCXT) and name != CCXT):
            near = difflib.get_close_matches(name, EXCHANGES, n=1, cutoff=0.5)
            do = (
                f"did you mean {near[0]}?"
                if near
                else f"use any of {', '.join(EXCHANGES)}, or ccxt:<exchange>"
            )
            raise ConfigError(f"exchanges: there is no {name[:40]!r}; {do}")


def _check_coins(coins: tuple[str, ...]) -> None:
    for coin in coins:
        if not (coin.isascii() and coin.isalnum() and coin == coin.upper()):
            raise ConfigError(
                f"coins: {coin[:40]!r} is no coin; write them as BTC,ETH (instruments are "
                "found by the exchange)"
            )
