import asyncio

from xds_server.latest import Latest


async def test_a_follower_gets_the_newest_at_once() -> None:
    latest: Latest[int] = Latest()
    assert latest.value is None
    latest.put(1)
    latest.put(2)
    assert latest.value == 2
    assert await anext(latest.follow()) == 2


async def test_who_is_slow_skips_what_was_superseded() -> None:
    latest: Latest[int] = Latest()
    following = latest.follow()
    latest.put(1)
    assert await anext(following) == 1
    for value in (2, 3, 4):
        latest.put(value)
    assert await anext(following) == 4


async def test_every_follower_hears_of_a_value_that_it_waits_for() -> None:
    latest: Latest[int] = Latest()
    heard: list[int] = []
    waiting = asyncio.Barrier(4)

    async def follow() -> None:
        following = latest.follow()
        await waiting.wait()
        heard.append(await anext(following))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(follow())
        await waiting.wait()
        latest.put(7)
    assert heard == [7, 7, 7]


async def test_the_same_value_put_again_is_a_newer_one() -> None:
    latest: Latest[int] = Latest()
    following = latest.follow()
    latest.put(1)
    await anext(following)
    latest.put(1)
    assert await asyncio.wait_for(anext(following), 1) == 1
