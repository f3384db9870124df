"""The throttle: it slows guesses of passwords down."""
