"""Documents become frozen records; records that hold together become the world."""
