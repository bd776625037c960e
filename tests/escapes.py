"""Spellings of paths that lead out of a folder, or look as if they did (FIL-02)."""

LEADS = ("", "work/", "/", "./", "work/../")
UPS = ("../", "..\\", "%2e%2e/", "..%2f", "....//", ".../", "..;/", "%252e%252e%252f", "\u2025/", "..\0/")


def escapes(*ends: str) -> list[str]:
    """Fifty for each of the places that they are to reach."""
    return [lead + up + end for lead in LEADS for up in UPS for end in ends]
