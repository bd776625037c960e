"""The commands, each against a real stack."""

import json

import pytest

from tests.flow.cli.conftest import Up
from tests.processes import until

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


def test_a_task_is_watched_to_its_end(up: Up) -> None:
    said = up.say("run", "world", "--watch")
    assert "Hello, world" in said.splitlines()
    assert "● completed: end_turn" in said.splitlines()[-1]


def test_a_task_is_started_and_shown_afterwards(up: Up) -> None:
    run_id = up.say("run", "again").strip()
    events = [json.loads(line) for line in up.say("watch", run_id, "--json").splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("run.created", "run.completed")
    assert "Hello, again" in up.say("show", run_id).splitlines()
    assert up.json("runs")[0]["id"] == run_id
    assert run_id in up.say("runs", "--status", "completed")
    assert up.json("sessions")[0]["id"] == events[0]["session_id"]


def test_a_later_part_of_a_stream_is_watched_alone(up: Up) -> None:
    run_id = up.say("run", "x").strip()
    up.say("watch", run_id)
    last = up.json("show", run_id)["last_seq"]
    rest = up.say("watch", run_id, "--after", str(last - 1), "--json")
    assert json.loads(rest)["seq"] == last


async def test_an_act_that_waits_is_shown_and_approved(up: Up) -> None:
    run_id = up.say("run", "deploy", "--tool", "count_non_idempotent_write").strip()
    told = await up.when(run_id, "waiting")
    (checkpoint,) = told["waiting_for"]["checkpoint_ids"]
    assert checkpoint in up.say("checkpoints")
    assert "release 7" in up.say("approve", checkpoint, "--yes", "--reason", "seen")
    assert (await up.when(run_id, "completed"))["checkpoints"][0]["decisions"][0]["reason"] == "seen"
    assert checkpoint not in up.say("checkpoints")
    assert checkpoint in up.say("checkpoints", "--all", "--run", run_id)


async def test_an_act_that_waits_is_changed_and_asks_anew(up: Up) -> None:
    run_id = up.say("run", "deploy", "--tool", "count_non_idempotent_write").strip()
    (first,) = (await up.when(run_id, "waiting"))["waiting_for"]["checkpoint_ids"]
    for wrong, words in (("{", "JSON"), ("[]", "object"), ("{}}", "JSON"), ('{"n": 1}', "`n` is not an arg")):
        refused = up.rhone("approve", first, "--yes", "--arguments", wrong)
        assert (refused.returncode, words in refused.stderr) == (1, True), refused.stderr
    up.say("approve", first, "--yes", "--arguments", '{"note": "release 8"}')

    def second_one() -> str | None:
        asked = [one["id"] for one in up.json("checkpoints", "--run", run_id) if one["id"] != first]
        return asked[0] if asked else None

    second = await until(second_one, 60, "it does not ask again")
    assert second is not None
    assert "release 8" in up.say("approve", second, "--yes")
    told = await up.when(run_id, "completed")
    assert [one["status"] for one in told["checkpoints"]] == ["revoked", "redeemed"]


async def test_nothing_is_decided_where_nobody_can_be_asked(up: Up) -> None:
    run_id = up.say("run", "deploy", "--tool", "count_non_idempotent_write").strip()
    (checkpoint,) = (await up.when(run_id, "waiting"))["waiting_for"]["checkpoint_ids"]
    asked = up.rhone("approve", checkpoint)
    assert (asked.returncode, asked.stderr) == (
        1,
        "rhone: nobody is there to ask; say --yes to decide over what is shown\n",
    )
    assert "is denied" in up.say("deny", checkpoint, "--yes", "--reason", "not today")
    told = await up.when(run_id, "completed")
    assert "not today" in told["output_text"]
    assert up.rhone("approve", checkpoint, "--yes").returncode == 1


async def test_a_question_is_answered(up: Up) -> None:
    run_id = up.say("run", "ask me", "--tool", "ask_user").strip()
    (checkpoint,) = (await up.when(run_id, "waiting"))["waiting_for"]["checkpoint_ids"]
    assert "Which colour?" in up.say("answer", checkpoint, "blue")
    assert (await up.when(run_id, "completed"))["output_text"] == "So blue it is."


async def test_a_run_that_talks_is_interrupted_with_words_and_goes_on(up: Up) -> None:
    run_id = up.say("run", "talk long").strip()
    await up.when(run_id, "running")
    up.say("interrupt", run_id, "--message", "shorter", "--keep", "save_marked")
    assert (await up.when(run_id, "completed"))["output_text"] == "I heard: shorter"


async def test_a_run_is_cancelled_and_watching_it_ends_with_one(up: Up) -> None:
    run_id = up.say("run", "talk long").strip()
    await up.when(run_id, "running")
    up.say("cancel", run_id, "--reason", "enough")
    watched = up.rhone("watch", run_id)
    assert (watched.returncode, watched.stdout.splitlines()[-1].startswith("✗ cancelled")) == (1, True)


async def test_what_is_sent_to_a_run_is_told_in_its_stream(up: Up) -> None:
    run_id = up.say("run", "talk long").strip()
    await up.when(run_id, "running")
    up.say("send", run_id, "mind the gap")
    up.say("cancel", run_id)
    assert "» mind the gap" in up.rhone("watch", run_id).stdout


def test_a_key_does_what_its_scopes_say_until_it_is_revoked(up: Up) -> None:
    principal = up.say("principals", "create", "auditor", "--role", "reader").strip()
    assert principal in up.say("principals", "list")
    made = up.json("key", "create", principal, "--scope", "read")
    address = ("--url", (up.folder / "address").read_text().strip())
    assert up.rhone("runs", *address, "--key", made["secret"]).returncode == 0
    refused = up.rhone("run", "x", *address, "--key", made["secret"])
    assert (refused.returncode, "auth." in refused.stderr) == (1, True)
    assert made["id"] in up.say("key", "list")
    up.say("key", "revoke", made["id"])
    assert up.rhone("runs", *address, "--key", made["secret"]).returncode == 1
    assert up.rhone("runs", *address).returncode == 1


def test_what_the_gateway_refuses_names_the_field(up: Up) -> None:
    refused = up.rhone("run", "x", "--model", "nobody", "--json")
    error = json.loads(refused.stderr)["error"]
    assert (refused.returncode, error["param"]) == (1, "model")
    assert up.rhone("show", "run_0123456789abcdefghjkmnpqrs").returncode == 1


def test_all_sides_of_what_was_done_here_agree(up: Up) -> None:
    told = up.json("reconcile", "--patience", "20")
    assert told["ok"] is True
    assert [check["check"] for check in told["checks"]] == [
        "runs",
        "subruns",
        "events",
        "claims",
        "receipts",
        "forge",
        "boxes",
    ]


def test_the_doctor_finds_a_deployment_that_works(up: Up) -> None:
    checks = {check["name"]: check["state"] for check in up.json("doctor")["checks"]}
    assert checks["database"] == checks["admin.key"] == checks["Temporal server"] == "good"
    (up.folder / "admin.key").chmod(0o644)
    assert "chmod 600" in up.rhone("doctor").stdout
    (up.folder / "admin.key").chmod(0o600)
