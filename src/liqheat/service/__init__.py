"""Store and live events to current heatmaps: what the servers show.

``query`` (what may be asked), ``window`` (a heatmap from stored bars), ``picture`` (USD to one
byte), ``cache`` (one build for many viewers), ``live`` (one view kept up to date), ``tape`` (what
came in lately), ``feeds`` (where data come from and what is said of them), ``core`` (the
service itself). Nothing here knows HTTP or frames: views give deltas, ``serve``
turns them into bytes once.
"""

from liqheat.service.core import Service
from liqheat.service.feeds import Feed
from liqheat.service.query import Query

__all__ = ["Feed", "Query", "Service"]
