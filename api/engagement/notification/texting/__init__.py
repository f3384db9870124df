"""Text messages (SMS): the phones that people confirmed, the providers that send, and what it costs."""
