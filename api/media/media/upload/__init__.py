"""Uploads by the tus protocol, version 1.0.0: acknowledged bytes are durable, and any replica may go on."""
