"""One document of several services: complete, valid, and without schemas that overwrite each other."""

from typing import Any

import pytest
from pydantic import BaseModel

from cluster.http import Body, Router, build_app, openapi
from tests.cluster.http.conftest import router


class Part(BaseModel):
    a: int


class Whole(BaseModel):
    part: Part


def _other() -> Router:
    class Part(BaseModel):
        b: str

    class Whole(BaseModel):
        part: Part

    Whole.__module__ = Part.__module__ = "elsewhere"
    other = Router("second_one")

    async def get_other() -> Any: ...

    other.get("/v1/others/{id}", response_model=Whole)(get_other)
    return other


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {each for child in value.values() for each in _references(child)}
        return found | ({value["$ref"]} if isinstance(value.get("$ref"), str) else set())
    return {each for child in value for each in _references(child)} if isinstance(value, list) else set()


def test_every_route_is_documented_with_its_problems_and_example() -> None:
    document = openapi([build_app([router])])
    create = document["paths"]["/v1/things"]["post"]
    assert create["operationId"] == "toy_create_thing"
    assert create["security"] == [{}, {"bearer": []}]
    assert create["requestBody"]["content"]["application/json"]["example"] == {"title": "A thing"}
    assert {"201", "400", "401", "408", "409", "413", "415", "422", "429", "503"} == set(create["responses"])
    reference = create["responses"]["409"]["$ref"]
    assert reference == "#/components/responses/409.key-in-flight.title-taken"
    conflicts = document["components"]["responses"]["409.key-in-flight.title-taken"]["content"][
        "application/problem+json"
    ]
    assert set(conflicts["examples"]) == {"title-taken", "key-in-flight"}
    assert [each["name"] for each in create["parameters"]] == ["Idempotency-Key"]
    change = document["paths"]["/v1/things/{thing_id}"]["patch"]
    assert {"400", "401", "403", "404", "412", "422", "428"} <= set(change["responses"])
    assert set(change["requestBody"]["content"]) == {"application/json", "application/merge-patch+json"}
    assert "Idempotency-Key" not in str(change.get("parameters"))
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_schemas_of_one_name_are_kept_apart_with_all_that_refer_to_them() -> None:
    first = Router("first")

    async def get_first() -> Any: ...

    first.get("/v1/firsts/{id}", response_model=Whole)(get_first)
    document = openapi([build_app([first]), build_app([_other()])])
    schemas = document["components"]["schemas"]
    assert schemas["Part"]["properties"].keys() == {"a"}
    assert schemas["SecondOnePart"]["properties"].keys() == {"b"}
    assert schemas["SecondOneWhole"]["properties"]["part"]["$ref"] == "#/components/schemas/SecondOnePart"
    components = document["components"]
    assert _references(document) <= {f"#/components/{kind}/{name}" for kind in components for name in components[kind]}


def test_two_services_cannot_answer_the_same() -> None:
    with pytest.raises(ValueError, match="another service answers too"):
        openapi([build_app([router]), build_app([router])])


def test_an_example_that_is_not_valid_has_no_document() -> None:
    class Odd(Body):
        code: str

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
            return {**handler(schema), "examples": [{"code": 5}]}

    odd = Router("odd")

    async def create_odd(new: Odd) -> None: ...

    odd.post("/v1/odds")(create_odd)

    with pytest.raises(ValueError, match="odd_create_odd: the example of its body is not valid"):
        openapi([build_app([odd])])
