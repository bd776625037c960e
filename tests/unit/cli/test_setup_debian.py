"""Which mirror the machine's apt is set to use."""

from pathlib import Path

from cli.setup.debian import Source, configured_sources, mirror_for, one_line_sources, stanza_sources

KEYRING = "/usr/share/keyrings/archive.gpg"


def test_a_line_with_options_gives_its_uri_suite_components_and_keyring() -> None:
    line = f"deb [ arch=amd64 signed-by={KEYRING} ] http://mirror.test/debian bookworm main contrib # ours"
    assert list(one_line_sources(line)) == [
        Source("http://mirror.test/debian", ("bookworm",), ("main", "contrib"), KEYRING)
    ]


def test_comments_and_source_packages_are_not_mirrors() -> None:
    text = "# deb http://old.test/debian bookworm main\n\ndeb-src http://mirror.test/debian bookworm main\n"
    assert list(one_line_sources(text)) == []


def test_stanzas_give_a_source_for_each_uri_and_skip_what_is_disabled() -> None:
    text = f"""\
# the archive
Types: deb deb-src
URIs: http://one.test/debian
 http://two.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: http://three.test/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://four.test/debian
Suites: bookworm
Components: main
"""
    suites = ("bookworm", "bookworm-updates")
    assert list(stanza_sources(text)) == [
        Source("http://one.test/debian", suites, ("main",), KEYRING),
        Source("http://two.test/debian", suites, ("main",), KEYRING),
    ]


def test_a_key_written_into_a_stanza_is_no_keyring_file() -> None:
    text = """\
Types: deb
URIs: http://one.test/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
"""
    assert [source.keyring for source in stanza_sources(text)] == [None]


def test_the_mirror_of_the_suite_itself_is_preferred() -> None:
    newer = Source("http://newer.test/debian", ("trixie",), ("main",))
    own = Source("http://own.test/debian", ("bookworm", "bookworm-updates"), ("main",))
    assert mirror_for("bookworm", [newer, own]) == own
    assert mirror_for("bookworm", [newer]) == newer


def test_archives_of_other_vendors_and_systems_are_no_debian_mirror() -> None:
    vendor = Source("https://vendor.test/apt", ("bookworm",), ("main",))
    vendor_beside_debian = Source("https://vendor.test/linux/debian", ("bookworm",), ("stable",))
    other_system = Source("http://archive.test/ubuntu", ("noble",), ("main", "universe"))
    disc = Source("cdrom:[disc]/debian", ("bookworm",), ("main",))
    assert mirror_for("bookworm", [vendor, vendor_beside_debian, other_system, disc]) is None


def test_all_files_of_apt_are_read(tmp_path: Path) -> None:
    lists = tmp_path / "sources.list.d"
    lists.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.test/debian bookworm main\n")
    (lists / "b.list").write_text("deb http://b.test/debian bookworm main\n")
    (lists / "c.sources").write_text(
        "Types: deb\nURIs: http://c.test/debian\nSuites: bookworm\nComponents: main\n"
    )
    (lists / "d.list.disabled").write_text("deb http://d.test/debian bookworm main\n")
    found = configured_sources(tmp_path)
    assert [source.uri for source in found] == [
        "http://a.test/debian",
        "http://b.test/debian",
        "http://c.test/debian",
    ]
