"""What outlives a request: PostgreSQL, its migrations, Idempotency-Keys, and objects in S3."""

from cluster.data.postgres import Connection, Transaction, read
from cluster.data.write import write

__all__ = ["Connection", "Transaction", "read", "write"]
