"""What the end-to-end tests stand on: real processes, real Envoys, upstreams that say what they got, open-loop load."""
