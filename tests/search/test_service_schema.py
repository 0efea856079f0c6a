"""The description of the API: what is described is what is answered, and what it forbids is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from tests.search.hostile import limited, short_folder

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
jsonschema = pytest.importorskip("jsonschema")

#: What schemathesis looks at. Not: that all that the schemas allow is accepted, for no schema says what a regex is.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "unsupported_method", "allow_header_conformance",
)  # fmt: skip


@pytest.fixture(scope="module")
def service(forest):
    with short_folder() as runtime, limited(forest, runtime=runtime, deadline_s=2) as serving:
        yield serving


@pytest.fixture(scope="module")
def described(service):
    return service.json("/openapi.json")


@pytest.mark.slow
def test_answers_to_made_up_requests_are_as_described(service, tmp_path):
    pytest.importorskip("schemathesis")
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}openapi.json", "--checks", ",".join(CHECKS),
        "--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--generation-deterministic", "--seed", "1",
        "--no-shrink", "--continue-on-failure", "--request-timeout", "30",
        "--suppress-health-check", "all", "--warnings", "off", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    assert service.json("/count", pattern="needle")["complete"]


# ---- real answers ----


def is_as(described, name, value):
    """Raises unless the value is as the schema of that name says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


ANSWERS = [
    ("/count?pattern=needle", "Count"), ("/count?pattern=needle&limit=1&limit_per_file=1", "Count"),
    ("/files?pattern=needle", "Files"), ("/files?pattern=needle&without=true&limit=1", "Files"),
    ("/tree", "Tree"), ("/tree?recursive=true&limit=3", "Tree"), ("/tree?name=*.py", "Tree"), ("/tree?under=.", "Tree"),
    ("/skipped", "Skipped"), ("/skipped?limit=1", "Skipped"), ("/status", "Status"), ("/healthz", "Health"),
    ("/search", "Problem"), ("/search?q=foo+/ba(r/", "Problem"), ("/nothing", "Problem"), ("/file?path=x", "Problem"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "name"), ANSWERS)
def test_answers_are_as_described(service, described, target, name):
    is_as(described, name, json.loads(service.get(target)[2]))


def test_folders_and_files_are_as_described(service, described, forest):
    is_as(described, "Tree", service.json("/tree", under=str(forest)))
    for name in ("deep/er/late.py", "latin1.txt", "empty.c"):
        is_as(described, "File", service.json("/file", path=f"{forest}/{name}"))


NAMES = {"begin": "Begin", "lines": "Lines", "diff": "Diff", "end": "End", "error": "Error"}
QUESTIONS = [
    ("/search", {"pattern": "needle"}), ("/search", {"pattern": "needle", "context": 2, "max_columns": 10}),
    ("/search", {"pattern": "needle", "limit": 3}), ("/search", {"pattern": "", "deadline_s": "0.000001"}),
    ("/search", {"pattern": "needle", "invert": "true", "limit_per_file": 2}),
    ("/preview", {"pattern": "needle", "replacement": "pin"}), ("/search", {"q": "needle hay -kiss"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "question"), QUESTIONS, ids=str)
def test_events_are_as_described(service, described, path, question):
    events = service.events(path, **question)
    known = described["paths"][path]["get"]["responses"]["200"]["content"]["application/x-ndjson"]["schema"][
        "description"
    ]
    assert {event["type"] for event in events} >= {"begin", "end"}
    for event in events:
        assert NAMES[event["type"]] in known
        is_as(described, NAMES[event["type"]], event)


def test_a_wrong_answer_is_not_as_described(described, service):
    health = service.json("/healthz")
    for wrong in ({**health, "more": 1}, {"why": []}, {**health, "status": "fine"}):
        with pytest.raises(jsonschema.ValidationError):
            is_as(described, "Health", wrong)


# ---- bounds ----


def bounded(described):
    """Every parameter with a bound: endpoint, name, the least and the most that is allowed."""
    for path, ways in described["paths"].items():
        for parameter in ways.get("get", {}).get("parameters", ()):
            schema = parameter["schema"]
            if "maximum" in schema:
                yield path, parameter["name"], schema.get("minimum", 0.001), schema["maximum"]


REQUIRED = {
    "/search": {"pattern": "needle"}, "/count": {"pattern": "needle"}, "/files": {"pattern": "needle"},
    "/preview": {"pattern": "needle", "replacement": "x"},
}  # fmt: skip


def test_bounds_are_kept_as_described(service, described, forest):
    required = {**REQUIRED, "/file": {"path": f"{forest}/latin1.txt"}}
    found = list(bounded(described))
    assert {name for _, name, _, _ in found} >= {"limit", "context", "deadline_s", "max_columns", "line"}
    for path, name, least, most in found:
        others = 240 if path == "/file" and name in ("before", "after") else 0  # both together have a bound
        for value, is_allowed in (
            (least, True), (most - others, True), (math.floor(most) + 1, False), (-1, False),
        ):  # fmt: skip
            status, _, body = service.get(path, **required.get(path, {}), **{name: value})
            assert (status == 200) is is_allowed, (path, name, value, body[:300])
            assert is_allowed or json.loads(body)["parameter"] in (name, "after")
