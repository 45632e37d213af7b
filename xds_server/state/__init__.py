"""What the server remembers between its lives."""
