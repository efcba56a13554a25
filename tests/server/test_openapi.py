"""The description: complete, with examples that are what it says, and links that lead from a session to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from sessionry.domain.events import EVENT_TYPES
from sessionry.server.openapi import OPERATIONS

from .conftest import Server


@pytest.fixture
async def description(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = (await server.anybody().get("/openapi.json")).json()
    return found


def operations(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in description["paths"].values():
        yield from methods.values()


def check(description: dict[str, Any], media: dict[str, Any]) -> None:
    """The example of a body or an answer is one of what its schema says."""
    schema = media["schema"] | {"components": description["components"]}
    Draft202012Validator(schema).validate(media["example"])


async def test_it_is_openapi_of_every_operation(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")
    assert {each["operationId"] for each in operations(description)} == set(OPERATIONS)


async def test_every_operation_has_an_example_of_all_that_it_takes_and_gives(description: dict[str, Any]) -> None:
    for operation in operations(description):
        for parameter in operation["parameters"]:
            assert parameter["in"] == "query" or parameter["example"] is not None, operation["operationId"]
        for media in operation.get("requestBody", {}).get("content", {}).values():
            if media.get("example") is not None:
                check(description, media)
            else:
                assert not operation["requestBody"]["required"], operation["operationId"]
        for answer in operation["responses"].values():
            for media in answer["content"].values():
                check(description, media)


async def test_a_body_is_described_with_all_that_it_holds(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    for operation in operations(description):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            options = media["schema"].get("oneOf", [media["schema"]])
            (body,) = [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]
            assert schemas[body]["additionalProperties"] is False, "what is not known is refused"
    seconds, _ = schemas["CreateToken"]["properties"]["expires_in"]["anyOf"]
    assert (seconds["exclusiveMinimum"], seconds["maximum"]) == (0, 1_000_000_000)


async def test_links_lead_from_a_session_to_its_end(description: dict[str, Any]) -> None:
    by_id = {each["operationId"]: each for each in operations(description)}

    def links(name: str) -> set[str]:
        return {link for answer in by_id[name]["responses"].values() for link in answer.get("links", {})}

    assert links("create_session") >= {"read_session", "submit_run", "read_events", "cancel_session"}
    assert links("submit_run") >= {"read_run", "cancel_run", "steer_run", "read_events"}
    assert links("list_approvals") == {"read_approval", "approve", "deny"}
    for operation in by_id.values():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                taken = {each["name"] for each in by_id[link["operationId"]]["parameters"] if each["in"] == "path"}
                assert link["parameters"].keys() == taken, link
    assert links("create_webhook") >= {"read_webhook", "list_notices", "delete_webhook"}


async def test_refusals_are_told_beforehand(description: dict[str, Any]) -> None:
    by_id = {each["operationId"]: each["responses"] for each in operations(description)}
    assert by_id["update_session"].keys() >= {"200", "404", "409", "412", "422", "428", "429"}
    assert by_id["read_events"].keys() >= {"200", "404", "410", "422"}
    assert "401" not in by_id["healthz"]
    for responses in by_id.values():
        assert "application/problem+json" in responses["default"]["content"]


async def test_every_event_type_has_a_schema_that_its_events_keep(server: Server, client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/v1/schemas/events")).json()
    assert schemas.keys() == EVENT_TYPES.keys()
    session = await server.sessions.create("asks")
    run = await session.run("x")
    await run.cancel()
    await run.result(timeout=30)
    for event in (await client.get(f"/v1/sessions/{session.id}/events")).json()["items"]:
        Draft202012Validator(schemas[event["type"]]).validate(event["data"])
