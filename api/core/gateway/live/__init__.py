"""Live: one connection for all that somebody follows, as server-sent events or as a WebSocket."""
