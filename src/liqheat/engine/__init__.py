"""Columns to heatmap: the estimator. Pure and deterministic; no I/O, no clock.

Read ``flow`` (what is opened), ``leverage`` (where it dies and how long it lives), ``kernels``
(the ledger's loops), ``heatmap`` (batch), ``live`` (one bar at a time), ``reference`` (the slow
oracle which the tests hold the kernels to).
"""

#: Raised whenever the numbers change; stored with every heatmap and answered by the API.
MODEL_VERSION = "2026.11.5"
