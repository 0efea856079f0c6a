"""The guides: each of their programs runs, and prints what the guide says that it prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GUIDES = sorted((Path(__file__).resolve().parents[2] / "docs" / "guides").glob("*.md"))
PROGRAM = re.compile(
    r"^```python\n(?P<program>.*?)^```\n\n```text\n(?P<output>.*?)^```$", re.MULTILINE | re.DOTALL
)


def programs() -> Iterator[object]:
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        first = ""
        for found in PROGRAM.finditer(text):
            title = text[: found.start()].rpartition("\n## ")[2].partition("\n")[0]
            yield pytest.param(first, found["program"], found["output"], id=f"{guide.stem}: {title[:60]}")
            if not found["output"]:  # it prepares what the others need
                first = found["program"]


@pytest.mark.parametrize(("first", "program", "output"), list(programs()))
def test_a_program_of_a_guide_prints_what_it_says(
    first: str,
    program: str,
    output: str,
    script: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if first:
        script(first)
    assert script(program) == output


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_every_program_of_a_guide_is_followed_by_its_output(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    assert text.count("```python\n") == len(PROGRAM.findall(text)) > 0


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_what_a_guide_links_to_is_there(guide: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", guide.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (guide.parent / link).exists()] == []
