"""`./hub test --static`: the invariants that read the tree and ask nothing."""

from cluster.base.settings import REPOSITORY
from cluster.hub.test import STATIC, with_static

ACTING = {
    f"tests/platform/test_{name}.py"
    for name in (
        "existing_holds",
        "existing_uses",
        "fuzz",
        "hosts",
        "locked_table",
        "projections",
        "tenancy",
    )
}
"""What asks operations, delivers events, or starts processes and databases of its own."""


def test_static_stands_for_its_files_among_other_arguments() -> None:
    assert with_static(["-x", "--static", "tests/api"]) == ["-x", *STATIC, "tests/api"]
    assert with_static(["--changed"]) == ["--changed"]


def test_each_invariant_of_the_platform_is_static_or_acts() -> None:
    found = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "tests" / "platform").glob("test_*.py")}

    assert found == {*STATIC} | ACTING
    assert not {*STATIC} & ACTING
