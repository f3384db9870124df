"""What every process stands on: the kernel, the embedded servers of a laptop, the hub command."""
