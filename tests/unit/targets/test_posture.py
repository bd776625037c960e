"""Which walls of a box do not stand."""

import pytest

from targets.posture import CHECKS, fallen, posture_of

WHOLE = {name: {"held": True, "found": "as it has to be"} for name in CHECKS}


def test_of_a_whole_box_no_wall_has_fallen() -> None:
    assert fallen(posture_of(WHOLE)) == ()


def test_a_wall_that_does_not_stand_is_named() -> None:
    broken = WHOLE | {"seccomp_filter": {"held": False, "found": "none"}}
    assert fallen(posture_of(broken)) == ("seccomp_filter",)


def test_a_posture_that_leaves_a_wall_out_is_none() -> None:
    with pytest.raises(ValueError, match="not the checks"):
        posture_of({name: WHOLE[name] for name in CHECKS[1:]})
