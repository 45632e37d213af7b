"""The programs: `xds-server` (`server`) and `xdsctl` (`ctl`). What their commands need is imported when they run.

    xds-server          serve, bootstrap, running (run), draining, envoys, demo, demo_shop, demo_canary, demo_mesh,
                        demo_order
    families of xdsctl  checking, explaining, fleet, kinds, releases, rollouts, notifications, writing, looking

What a family asks, and how the answer is printed:

    checking            reports, diff, differences, extending
    explaining          explain
    fleet               proxies, traffic
    kinds               fields
    releases            waiting, steering
    rollouts            rolling
    notifications       webhooks
    writing             applying, planning
    looking             get, describe, gc
    all of them         program, options, values, servers, folders, screen, words
"""
