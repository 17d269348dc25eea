"""Bytes to events: one file per source, all behind the protocol of ``base``."""
