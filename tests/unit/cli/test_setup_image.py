"""The recipe of the workspace image, and the tag that follows from it."""

from cli.setup.image import dockerfile
from protocol.digest import digest
from targets.images import WORKSPACE, default_tag, resolve_image


def test_the_tag_is_the_digest_of_the_recipe() -> None:
    assert default_tag() == f"rhone/workspace:{digest(WORKSPACE).split(':')[1][:12]}"


def test_a_changed_recipe_has_another_digest() -> None:
    changed = WORKSPACE.model_copy(update={"packages": (*WORKSPACE.packages, "jq")})
    assert digest(changed) != digest(WORKSPACE)


def test_default_means_the_recipe_and_other_names_mean_themselves() -> None:
    assert resolve_image("default") == default_tag()
    assert resolve_image("example/box:1") == "example/box:1"


def test_the_recipe_on_a_registry_base_installs_all_packages_and_drops_root() -> None:
    lines = dockerfile(WORKSPACE).splitlines()
    assert lines[0] == f"FROM debian:{WORKSPACE.suite}-slim"
    assert f"install -y --no-install-recommends {' '.join(WORKSPACE.packages)}" in lines[1]
    assert "USER agent" in lines
