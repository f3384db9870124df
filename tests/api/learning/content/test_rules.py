from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.learning.content.contract import ROOT, BlockId, BlockNotFound, BlockType, FrozenBlock, OutlineFull, WrongParent
from api.learning.content.rules import (
    MAX_BLOCKS,
    MAX_TEXT_BYTES,
    Node,
    Tree,
    in_tree_order,
    lessons_with_content,
    merge_patch,
    missing_lessons,
    release_times,
    released_by,
)
from cluster.base.ids import new_id

# Boxes in boxes: a type that may hold itself, so that only the rules keep a tree from biting its tail.
TYPES = {
    "box": BlockType(name="box", title="Box", parents=(ROOT, "box")),
    "leaf": BlockType(name="leaf", title="Leaf", parents=("box",), completes="viewed"),
}
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def block(**fields: Any) -> FrozenBlock:
    defaults: dict[str, Any] = {
        "id": BlockId(new_id()),
        "parent_id": None,
        "type": "text",
        "title": "",
        "body": {},
        "version": 1,
        "min_version": 1,
        "completes": "marked",
        "min_ratio": None,
        "release_at": None,
        "release_after_days": None,
        "source_id": None,
        "source_version": None,
    }
    return FrozenBlock(**(defaults | fields))


class Rows:
    """What the database would hold: only what the rules return is written to it."""

    def __init__(self) -> None:
        self.rows: dict[BlockId, Node] = {}

    def put(self, block_id: BlockId, type: str, parent_id: BlockId | None, position: int) -> None:
        self.rows[block_id] = Node(block_id, parent_id, type, position, 0, 1)

    def shift(self, shifted: dict[BlockId, int]) -> None:
        for block_id, position in shifted.items():
            row = self.rows[block_id]
            self.rows[block_id] = Node(block_id, row.parent_id, row.type, position, 0, 1)

    def tree(self) -> Tree:
        return Tree(self.rows.values(), TYPES)


@given(st.data())
def test_whatever_is_done_to_it_an_outline_stays_a_tree_without_gaps(data: st.DataObject) -> None:
    rows = Rows()
    deleted: list[list[Node]] = []
    for _ in range(data.draw(st.integers(1, 25))):
        tree = rows.tree()
        known = sorted(rows.rows)
        position = data.draw(st.none() | st.integers(0, 8))
        parent_id = data.draw(st.sampled_from([None, *known]))
        step = data.draw(st.sampled_from(["insert", "insert", "move", "remove", "graft"]))
        try:
            if step == "insert":
                block_id, type = BlockId(new_id()), data.draw(st.sampled_from(sorted(TYPES)))
                placed = tree.insert(block_id, type, parent_id, position)
                rows.shift(placed.shifted)
                rows.put(block_id, type, placed.parent_id, placed.position)
            elif step == "move" and known:
                block_id = data.draw(st.sampled_from(known))
                placed = tree.move(block_id, parent_id, position)
                rows.shift(placed.shifted)
                rows.put(block_id, rows.rows[block_id].type, placed.parent_id, placed.position)
            elif step == "remove" and known:
                removed, shifted = tree.remove(data.draw(st.sampled_from(known)))
                rows.shift(shifted)
                deleted.append([rows.rows.pop(each) for each in removed])
            elif step == "graft" and deleted:
                nodes = deleted[-1]
                if nodes[0].parent_id is None or nodes[0].parent_id in tree:
                    placed = tree.graft(deleted.pop())
                    rows.rows.update((node.id, node) for node in nodes)
                    rows.shift(placed.shifted)
                    rows.put(nodes[0].id, nodes[0].type, placed.parent_id, placed.position)
        except WrongParent:
            pass
        check(rows, tree)


def check(rows: Rows, tree: Tree) -> None:
    reached = in_tree_order(rows.rows.values())
    assert {node.id for node in reached} == set(rows.rows), "a cycle or an orphan: not all are reached from the top"
    by_parent: dict[BlockId | None, list[int]] = {}
    for node in reached:
        by_parent.setdefault(node.parent_id, []).append(node.position)
        parent = ROOT if node.parent_id is None else rows.rows[node.parent_id].type
        assert parent in TYPES[node.type].parents
    assert all(positions == list(range(len(positions))) for positions in by_parent.values())
    assert all(tree.children(parent) == rows.tree().children(parent) for parent in by_parent)


def boxes(*names: str) -> tuple[Tree, dict[str, BlockId]]:
    tree = Tree([], TYPES)
    ids = {name: BlockId(new_id()) for name in names}
    for name in names:
        tree.insert(ids[name], "box", None, None)
    return tree, ids


def test_a_block_goes_before_the_sibling_at_its_position() -> None:
    tree, ids = boxes("a", "b", "c")
    new = BlockId(new_id())
    placed = tree.insert(new, "box", None, 1)
    assert (placed.position, placed.shifted) == (1, {ids["b"]: 2, ids["c"]: 3})


def test_a_move_shifts_only_what_it_passes() -> None:
    tree, ids = boxes("a", "b", "c", "d")
    placed = tree.move(ids["c"], None, 1)
    assert (placed.position, placed.shifted) == (1, {ids["b"]: 2})
    assert tree.children(None) == [ids["a"], ids["c"], ids["b"], ids["d"]]


def test_a_move_to_another_parent_closes_the_gap_it_leaves() -> None:
    tree, ids = boxes("a", "b", "c")
    placed = tree.move(ids["a"], ids["c"], None)
    assert (placed.parent_id, placed.position, placed.shifted) == (ids["c"], 0, {ids["b"]: 0, ids["c"]: 1})


@pytest.mark.parametrize("below", ["itself", "its child"])
def test_a_block_cannot_stand_below_itself(below: str) -> None:
    tree, ids = boxes("a")
    child = BlockId(new_id())
    tree.insert(child, "box", ids["a"], None)
    with pytest.raises(WrongParent):
        tree.move(ids["a"], ids["a"] if below == "itself" else child, None)


def test_a_type_stands_only_where_it_may() -> None:
    tree, _ = boxes("a")
    with pytest.raises(WrongParent, match="a leaf stands in a box"):
        tree.insert(BlockId(new_id()), "leaf", None, None)
    with pytest.raises(WrongParent, match="no such block"):
        tree.insert(BlockId(new_id()), "leaf", BlockId(new_id()), None)


def test_removing_takes_all_that_is_below() -> None:
    tree, ids = boxes("a", "b")
    child = BlockId(new_id())
    tree.insert(child, "leaf", ids["a"], None)
    assert tree.remove(ids["a"]) == ([ids["a"], child], {ids["b"]: 0})
    with pytest.raises(BlockNotFound):
        tree.node(child)


def test_an_outline_has_limits() -> None:
    full = Tree([Node(BlockId(new_id()), None, "box", each, 0, 1) for each in range(MAX_BLOCKS)], TYPES)
    with pytest.raises(OutlineFull, match="2000 blocks"):
        full.insert(BlockId(new_id()), "box", None, None)
    heavy = Tree([Node(BlockId(new_id()), None, "box", 0, MAX_TEXT_BYTES, 1)], TYPES)
    with pytest.raises(OutlineFull, match="bytes together"):
        heavy.insert(BlockId(new_id()), "box", None, None, text_bytes=1)
    heavy.check_room(0, -1)


def test_a_block_opens_with_the_latest_date_around_it() -> None:
    module = block(type="module", release_after_days=7)
    early = block(parent_id=module.id, release_at=NOW)
    late = block(parent_id=module.id, release_at=NOW + timedelta(days=30))
    free = block()
    week = NOW + timedelta(days=7)
    assert release_times([module, early, late, free], NOW) == {
        module.id: week,
        early.id: week,
        late.id: NOW + timedelta(days=30),
        free.id: NOW,
    }


def test_days_after_the_start_are_none_in_a_run_without_a_start() -> None:
    module = block(release_after_days=7)
    assert release_times([module], None) == {module.id: None}


def test_a_lesson_has_content_when_something_in_it_completes() -> None:
    empty, blank, full = (
        block(type="lesson", completes=None),
        block(type="lesson", completes=None),
        block(type="lesson"),
    )
    outline = [
        empty,
        blank,
        block(parent_id=blank.id, body={"markdown": ""}),
        full,
        block(parent_id=full.id, body={"markdown": "x"}),
    ]
    assert lessons_with_content(outline) == 1
    assert missing_lessons(outline) == []
    assert [(each.code, each.block_id) for each in missing_lessons(outline[:3])] == [
        ("no-lesson-with-content", empty.id)
    ]
    assert [(each.code, each.block_id) for each in missing_lessons([])] == [("no-lesson-with-content", None)]


# The examples of RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_does_what_its_standard_shows(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def test_naming_one_way_to_release_gives_up_the_other() -> None:
    assert released_by(NOW, None, {"release_after_days": 3}) == (None, 3)
    assert released_by(None, 3, {"release_at": NOW}) == (NOW, None)
    assert released_by(None, 3, {"title": "x"}) == (None, 3)
    assert released_by(NOW, None, {"release_at": None}) == (None, None)
    assert released_by(None, None, {"release_at": NOW, "release_after_days": 3}) == (NOW, 3)
