from tests.kernel import empty, kernel

__all__ = ["empty", "kernel"]
