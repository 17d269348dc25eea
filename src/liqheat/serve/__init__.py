"""Heatmap to the world: binary wire, HTTP, WebSocket, the server process."""
