"""The shell: tasks, clock, wiring, metrics and logs. `serve` makes all of it, and ends it together.

what is in force      control, activating, probing, keeping, change_log
commands that write   writing, steering, words, unused
what proxies are told publishing, worlds, kinds, pacing, connected
the fleet order       ordering, acceptance, presence
extensions            extending, extensions, extension_process, extension_worker
rollouts              rollouts, judging, attempts, moving, freezing, finishing, promoting (by people)
the ledger            bookkeeping, waiting
telemetry             telemetry, traffic, watching
webhooks              notifying, posting
what is wrong         reporting, refusals
what people ask       describing, inventory, proxies
metrics               metrics, tallies, standing_problems
the process           serve, http, observers, clock, logs, garbage
"""
