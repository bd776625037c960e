"""A unified diff put onto a text: exactly, or not at all."""

import pytest

from protocol.errors import Refused
from worker.patch import patched

TEXT = "one\ntwo\nthree\nfour\nfive\n"


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (TEXT, "@@ -2,2 +2,2 @@\n two\n-three\n+3\n", "one\ntwo\n3\nfour\nfive\n"),
        (
            TEXT,
            "--- a/x\n+++ b/x\n@@ -1,1 +1,2 @@\n one\n+one and a half\n",
            "one\none and a half\ntwo\nthree\nfour\nfive\n",
        ),
        (TEXT, "@@ -90,1 +90,0 @@\n-four\n", "one\ntwo\nthree\nfive\n"),
        (TEXT, "@@ -1 +1 @@\n-one\n+1\n+1b\n@@ -5 +6 @@\n-five\n+5", "1\n1b\ntwo\nthree\nfour\n5\n"),
        (TEXT, "@@ -2,0 +3 @@\n+between\n", "one\ntwo\nbetween\nthree\nfour\nfive\n"),
        ("a\r\nb\r\n", "@@ -1 +1 @@\n-a\n+c\n", "c\r\nb\r\n"),
        ("a\nb", "@@ -2 +2 @@\n-b\n+c\n\\ No newline at end of file\n", "a\nc"),
        ("", "--- /dev/null\n+++ b/new.md\n@@ -0,0 +1,2 @@\n+# New\n+\n", "# New\n\n"),
        ("a\n\nb\n", "@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", "a\n\nc\n"),
    ],
)
def test_what_a_patch_says_is_what_comes_of_it(before: str, patch: str, after: str) -> None:
    assert patched(before, patch) == after


@pytest.mark.parametrize(
    ("before", "patch"),
    [
        (TEXT, "@@ -1 +1 @@\n-six\n+6\n"),
        ("a\nb\na\n", "@@ -9 +9 @@\n-a\n+c\n"),
        (TEXT, "-one\n+1\n"),
        (TEXT, ""),
        (TEXT, "@@ -1 +1 @@\n*one\n"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(before: str, patch: str) -> None:
    with pytest.raises(Refused) as refused:
        patched(before, patch)
    assert refused.value.code == "vault.patch_refused"
