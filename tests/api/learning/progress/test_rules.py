"""How far somebody is, as arithmetic."""

from datetime import UTC, datetime, timedelta
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from api.learning.content.contract import BlockId, RequiredBlock
from api.learning.progress import rules
from api.learning.progress.rules import Done
from cluster.base.ids import new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDS = [BlockId(new_id()) for _ in range(6)]


def block(block_id: BlockId, version: int, min_version: int, *, released: bool = True) -> RequiredBlock:
    return RequiredBlock(
        block_id=block_id,
        type="text",
        version=version,
        min_version=min_version,
        completes="marked",
        min_ratio=None,
        released=released,
        release_at=None,
    )


required = st.lists(st.sampled_from(IDS), unique=True).flatmap(
    lambda ids: st.tuples(
        *(st.builds(partial(block, each, 5), st.integers(1, 5), released=st.booleans()) for each in ids)
    )
)
dones = st.dictionaries(st.sampled_from(IDS), st.integers(1, 5).map(lambda version: Done(version, NOW)))


@given(required, dones)
def test_percent_is_between_0_and_100_and_finished_means_all(
    blocks: tuple[RequiredBlock, ...], done: dict[BlockId, Done]
) -> None:
    standing = rules.standing(blocks, done)
    assert 0 <= standing.percent <= 100
    assert standing.total + standing.to_come == len(blocks)
    assert standing.finished == (standing.percent == 100 and standing.to_come == 0)
    assert standing.finished == (bool(blocks) and all(rules.counts(each, done) for each in blocks))


@given(required, dones)
def test_all_that_is_open_is_100_percent(blocks: tuple[RequiredBlock, ...], done: dict[BlockId, Done]) -> None:
    reachable = [each for each in blocks if each.released]
    standing = rules.standing(blocks, done | {each.block_id: Done(5, NOW) for each in reachable})
    assert standing.percent == (100 if standing.total else 0)
    assert standing.to_come == sum(not each.released and not rules.counts(each, done) for each in blocks)


@given(required, dones, st.sampled_from(IDS))
def test_completing_something_never_lowers_it(
    blocks: tuple[RequiredBlock, ...], done: dict[BlockId, Done], also: BlockId
) -> None:
    assert rules.standing(blocks, done | {also: Done(5, NOW)}).completed >= rules.standing(blocks, done).completed


def test_nothing_to_do_is_not_complete() -> None:
    standing = rules.standing((), {})
    assert (standing.percent, standing.finished) == (0, False)


def test_a_major_change_asks_for_the_block_again_and_a_minor_one_does_not() -> None:
    done = {IDS[0]: Done(2, NOW)}
    assert rules.counts(block(IDS[0], version=4, min_version=2), done)
    assert not rules.counts(block(IDS[0], version=4, min_version=3), done)


def test_nobody_tells_the_future() -> None:
    earlier, later = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    assert [rules.happened_at(each, NOW) for each in (None, earlier, later)] == [NOW, earlier, NOW]
