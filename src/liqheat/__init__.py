"""liqheat: an open, self-hosted liquidation heatmap."""

__version__ = "0.1.0"
