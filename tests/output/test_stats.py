"""The figures of an output: each operation is counted once, by what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import limpet

NAMES = st.sampled_from(["a", "b", "d/c", "../x", ""])
OPERATIONS = st.one_of(
    st.builds(limpet.CreateFile, name=NAMES, content=st.binary(max_size=9)),
    st.builds(limpet.OverwriteFile, name=NAMES, content=st.binary(max_size=9)),
    st.builds(limpet.AppendToFile, name=NAMES, content=st.binary(max_size=9)),
    st.builds(limpet.DeleteFile, name=NAMES),
    st.builds(limpet.MoveFile, name=NAMES, target=NAMES),
    st.builds(limpet.MakeDir, name=NAMES),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(OPERATIONS, max_size=5), max_size=6))
def test_each_result_is_counted_once(
    tmp_path: Path, batches: list[list[limpet.AppendToFile]]
) -> None:
    """By its verb if it is done, else by its code; bytes are those of the results."""
    with limpet.Output(tmp_path) as out:
        results = [one for batch in batches for one in out.perform_all(batch)]
        stats = out.stats()
    done = [one for one in results if isinstance(one, limpet.Done)]
    refused = [one for one in results if isinstance(one, limpet.Refused)]
    verbs = Counter(limpet.output.verb_of(one.operation) for one in done)
    assert stats.operations == verbs
    assert stats.refusals == Counter(one.code for one in refused)
    assert stats.bytes_written == sum(one.bytes for one in done)


def test_those_of_the_async_form_are_the_same(tmp_path: Path) -> None:
    """They stay after it was closed, and go on when it is opened again."""

    async def main() -> None:
        out = limpet.open_output(tmp_path)
        for number in range(3):
            async with out:
                await asyncio.gather(*(out.append("log", "x") for _ in range(10)))
                await out.perform(limpet.CreateFile(name="log", content=""))
            stats = out.stats()
            assert stats.operations == {"append": 10 * (number + 1)}
            assert stats.refusals == {"exists": number + 1}
            assert stats.bytes_written == stats.operations["append"]

    asyncio.run(main())
