"""Directory and health of all services, the merged API document and its page, keys for verifying tokens, operations."""
