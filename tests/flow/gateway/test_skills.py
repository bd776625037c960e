"""Skills over the API: imported under a version by an administrator, refused before anything is kept."""

import base64
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.escapes import escapes
from tests.flow.gateway.house import House, error_of

pytestmark = pytest.mark.slow

MANUAL = "---\nname: knots\ndescription: Ties knots.\n---\nUse rope.\n"


def packed(**files: str) -> str:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return base64.b64encode(out.getvalue()).decode()


def body(version: str = "1", **files: str) -> dict[str, Any]:
    return {"version": version, "archive": packed(**({"knots__SKILL.md": MANUAL} | files))}


def linked() -> str:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("knots/SKILL.md")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return base64.b64encode(out.getvalue()).decode()


async def test_a_version_is_made_once_and_never_another_one(home: House) -> None:
    made = await home.client.put("/v1/skills/knots", json=body())
    assert made.status_code == 201, made.text
    assert (made.json()["name"], made.json()["version"]) == ("knots", "1")
    again = await home.client.put("/v1/skills/knots", json=body())
    assert (again.status_code, again.json()) == (200, made.json())
    other = await home.client.put("/v1/skills/knots", json=body(knots__more="x"))
    assert error_of(other) == (409, "skill.version_taken", "version")
    assert (await home.client.get("/v1/skills/knots@1")).json() == made.json()
    assert (await home.client.get("/v1/skills")).json()["items"] == [made.json()]
    assert error_of(await home.client.get("/v1/skills/knots@2"))[:2] == (404, "skill.not_found")


async def test_only_an_administrator_imports(home: House) -> None:
    async with home.holding(await home.key("run", "read")) as reader:
        refused = await reader.put("/v1/skills/knots", json=body())
        assert error_of(refused)[:2] == (403, "auth.scope_missing")
        assert (await reader.get("/v1/skills")).json()["items"] == []


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        ({"version": "1", "archive": "%%"}, "request.invalid_field", "archive"),
        ({"version": "../1", "archive": packed(a="")}, "request.invalid_field", "version"),
        ({"version": "1", "archive": packed(a="")}, "skill.invalid", "archive"),
        ({"version": "1", "archive": packed(**{"..__x": ""})}, "archive.refused", "archive"),
        ({"version": "1", "archive": linked()}, "archive.refused", "archive"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    home: House, tmp_path: Path, sent: dict[str, Any], code: str, param: str
) -> None:
    answer = await home.client.put("/v1/skills/knots", json=sent)
    assert error_of(answer) == (400, code, param)
    assert (await home.client.get("/v1/skills")).json()["items"] == []
    assert list(tmp_path.rglob("blobs/*/*")) == []


async def test_the_name_in_the_path_is_the_skills_own(home: House) -> None:
    answer = await home.client.put("/v1/skills/ropes", json=body())
    assert error_of(answer) == (400, "skill.name_mismatch", "name")


async def test_no_spelling_of_a_reference_reads_anything_else(home: House) -> None:
    """FIL-02, of skills over the API: as they are written, and with all of it encoded."""
    made = await home.client.put("/v1/skills/knots", json=body())
    spelt = escapes("etc/passwd", "knots@1", "../etc/passwd")
    spelt = [*(one.replace("\0", "%00") for one in spelt), *(quote(one, safe="") for one in spelt)]
    assert len(spelt) >= 120
    for path in [*spelt, *("knots@1/" + one for one in spelt)]:
        answer = await home.client.get(f"/v1/skills/{path}")
        assert answer.status_code in (400, 404) or answer.json() == made.json(), path
