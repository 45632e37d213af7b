"""The server's own HTTP interface."""
