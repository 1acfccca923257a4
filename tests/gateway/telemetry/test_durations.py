import asyncio

from gateway.telemetry.durations import gathered, timed


def test_parts_are_added_up_by_name() -> None:
    with gathered() as durations:
        with timed("encode"):
            pass
        first = durations["encode"]
        with timed("encode"), timed("wait"):
            pass
    assert durations["encode"] > first > 0
    assert set(durations) == {"encode", "wait"}


def test_tasks_of_a_request_count_and_other_requests_do_not() -> None:
    async def part(name: str) -> None:
        with timed(name):
            await asyncio.sleep(0)

    async def request(name: str) -> set[str]:
        with gathered() as durations:
            await asyncio.create_task(part(name))
        return set(durations)

    async def main() -> list[set[str]]:
        await part("nobody's")
        return list(await asyncio.gather(request("a"), request("b")))

    assert asyncio.run(main()) == [{"a"}, {"b"}]


def test_a_part_that_fails_is_timed_too() -> None:
    with gathered() as durations:
        try:
            with timed("denoise"):
                raise ValueError
        except ValueError:
            pass
    assert durations["denoise"] > 0
