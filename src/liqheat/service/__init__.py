"""Store and live events to current heatmaps: what the servers show.

``query`` (what may be asked), ``window`` (a heatmap from stored bars), ``picture`` (USD to one
byte), ``cache`` (one build for many viewers), ``history`` (bars of several intervals), ``tape``
(what came in lately), ``recorded``, ``series`` and ``liquidations`` (what happened beside the
map), ``part`` and ``live`` (one view kept up to date), ``coin`` (sums over instruments),
``feeds`` and ``honesty`` (where data come from and what is said of them), ``maps`` (any query)
and ``core`` (the service itself). Nothing here knows HTTP or frames: views give deltas,
``serve`` turns them into bytes once.
"""

from liqheat.service.core import Service
from liqheat.service.feeds import Feed
from liqheat.service.query import Query

__all__ = ["Feed", "Query", "Service"]
