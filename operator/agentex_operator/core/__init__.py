"""The decisions: pure functions over values. No I/O, no clock, no randomness, no async, no logging."""
