"""The run itself: a bounded window of workers on one event loop, and what goes on beside it."""
