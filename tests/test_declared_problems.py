import httpx
import pytest

from tests.declared_problems import declared_by, refuse_undeclared


def _answer(slug: str, *, path: str = "/v1/courses", status: int = 409) -> httpx.Response:
    return httpx.Response(
        status,
        headers={"Content-Type": "application/problem+json"},
        json={"type": f"/problems/{slug}"},
        request=httpx.Request("POST", f"http://hub.test{path}"),
    )


def test_declared_by_finds_the_problems_of_the_route() -> None:
    assert {"slug-taken", "category-unknown"} <= (declared_by("POST", "/v1/courses") or set())
    assert "slug-taken" not in (declared_by("GET", "/v1/courses") or {"slug-taken"})
    assert declared_by("HEAD", "/v1/courses") == declared_by("GET", "/v1/courses")
    assert declared_by("GET", "/v1/no-such-area") is None


async def test_refuse_undeclared_rejects_a_problem_no_route_declares() -> None:
    with pytest.raises(
        AssertionError, match="POST /v1/courses answers run-has-ended, which its route does not declare"
    ):
        await refuse_undeclared(_answer("run-has-ended"))


@pytest.mark.parametrize(
    "answer",
    [
        _answer("slug-taken"),
        _answer("run-has-ended", path="/v1/no-such-area"),
        _answer("run-has-ended", status=500),
        httpx.Response(409, request=httpx.Request("POST", "http://hub.test/v1/courses")),
    ],
)
async def test_refuse_undeclared_accepts_what_may_be_answered(answer: httpx.Response) -> None:
    await refuse_undeclared(answer)
