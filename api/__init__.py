"""The services: api/<namespace>/<service>/."""
