"""From the inbox to the channels that reach people elsewhere."""
