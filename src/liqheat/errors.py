"""Everything liqheat raises on purpose.

    LiqheatError                exit code
    ├── BadInputError           3   a file, frame, row or parameter is wrong
    │   └── UnknownInstrumentError
    ├── ConfigError             2   a flag, environment variable or TOML key is wrong
    ├── StoreError              4   the store cannot be opened, read or written
    │   ├── SchemaVersionError      it was written by a newer liqheat
    │   └── StoreBusyError          another process is writing
    ├── UnavailableError        5   what was asked for does not exist (yet)
    ├── ExchangeError           7   an exchange cannot be reached, or answers with an error
    │   └── RefusedError            it does not serve this address, or for now no more
    └── ServeError              6   the server cannot start: port in use, page not built

Every message is ONE line which says what is wrong, where, which value it was, and what to do.
The command line prints it after ``liqheat: `` and exits with the class's ``exit_code``; the
server turns it into an RFC 9457 body with the class's ``status``.
"""

from __future__ import annotations

#: Longest value, and longest advice, that a message repeats [characters].
MAX_WORDS = 400


class LiqheatError(Exception):
    """Base of all errors which are meant to be read by a person."""

    exit_code = 1
    status = 500
    title = "liqheat failed"


class BadInputError(LiqheatError):
    """A given file, row, frame or parameter cannot be used.

    Parameters
    ----------
    what : str
        What is wrong, in words.
    where : str
        File and row, frame and field, or the parameter's name.
    value : object, optional
        The value as it was found.
    do : str, optional
        What the reader can do about it.
    """

    exit_code = 3
    status = 422
    title = "Bad input"

    def __init__(
        self, what: str, *, where: str = "", value: object = None, do: str = ""
    ) -> None:
        self.what, self.where, self.value, self.do = what, where, value, do
        text = f"{where}: {what}" if where else what
        if value is not None:
            text += f" (was {_clipped(repr(value))})"
        if do:
            text += f"; {_clipped(do)}"
        super().__init__(_printable(text))


def _printable(text: str) -> str:
    # The name of a column, file or parameter may hold a newline or half a character.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _clipped(text: str) -> str:
    # A cell of a megabyte, or the names of 20,000 columns, would be no line any more.
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}..."


class UnknownInstrumentError(BadInputError):
    """No instrument of that name is shipped or stored."""

    status = 404
    title = "Unknown instrument"


class ConfigError(LiqheatError):
    """A flag, an environment variable or a TOML key cannot be used."""

    exit_code = 2
    title = "Bad configuration"


class StoreError(LiqheatError):
    """The store cannot be opened, read or written."""

    exit_code = 4
    status = 503
    title = "Store unavailable"


class SchemaVersionError(StoreError):
    """The store was written by a newer liqheat."""


class StoreBusyError(StoreError):
    """Another process holds the writer's place."""


class UnavailableError(LiqheatError):
    """What was asked for does not exist, or not yet."""

    exit_code = 5
    status = 404
    title = "Not available"


class ServeError(LiqheatError):
    """The server cannot start."""

    exit_code = 6
    title = "Server cannot start"


class ExchangeError(LiqheatError):
    """An exchange cannot be reached, or answers with an error.

    Parameters
    ----------
    exchange : str
        Which one.
    what : str
        What happened, in words.
    code : int, optional
        Status of its HTTP answer.
    """

    exit_code = 7
    status = 502
    title = "Exchange failed"

    def __init__(self, exchange: str, what: str, *, code: int | None = None) -> None:
        self.exchange, self.what, self.code = exchange, what, code
        super().__init__(_printable(f"{exchange}: {_clipped(what)}"))


class RefusedError(ExchangeError):
    """An exchange does not serve this address; asking on would make it worse."""

    status = 503
    title = "Refused by the exchange"
