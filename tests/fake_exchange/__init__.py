"""A fake of every exchange on one loopback port: REST and WebSocket, with scripted faults.

``market`` makes up one market, a pure function of the seed and the time, so what was sent is
known exactly; ``venues/<name>`` says it in each exchange's own words; ``server`` sends it,
and breaks what the ``scenario`` wants broken. ``make fake-exchange`` runs it by hand.
"""
