"""Uploads by the tus protocol, version 1.0.0: what is acknowledged is durable, and any replica may go on."""
