"""Events to columns on disk: inputs only; a heatmap is computed again, never stored.

``Store`` is the interface; SQLite in WAL mode, written and read as Arrow, is its embedded
form. Several processes may read while one writes.
"""

from liqheat.store.schema import SCHEMAS
from liqheat.store.sqlite import FILE_NAME, Store, StoredInstrument, WriteResult
from liqheat.store.views import Span

__all__ = ["FILE_NAME", "SCHEMAS", "Span", "Store", "StoredInstrument", "WriteResult"]
