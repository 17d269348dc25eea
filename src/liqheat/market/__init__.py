"""What exists: instruments, events, margin rules. Values only; no I/O, no clock."""
