"""Settings: what the platform and each organization choose of what services offer."""
