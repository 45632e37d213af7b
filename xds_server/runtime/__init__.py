"""The shell: tasks, clock, wiring, metrics and logs."""
