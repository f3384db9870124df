"""From events to people."""
