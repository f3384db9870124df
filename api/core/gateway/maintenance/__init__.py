"""Maintenance windows: the platform, a service or an organization is read only or closed for a time."""
