"""What works outside a request: relay, consumers, job workers, scheduler, transcoding."""
