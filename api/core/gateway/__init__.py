"""The door: limits, maintenance, origins and operations, the documents of the API and of events, health of all services."""
