"""Delivery of films: playbacks whose address is the permission, playlists and segments."""
