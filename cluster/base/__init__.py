"""What everything else stands on: settings, ids, problems, principals, the service table, telemetry."""
