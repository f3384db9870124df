"""Delivers films to those who may watch: playbacks whose address is the permission, playlists and segments."""
