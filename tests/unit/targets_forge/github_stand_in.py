"""GitHub's REST API as its public documentation shows it, over bare repositories: the part that we use."""

import json
from urllib.parse import parse_qs, urlsplit

from tests.conformance.forge_world import git
from tests.unit.targets_forge.conftest import DirectoryWorld

_DOCS = "https://docs.github.com/rest"


class GitHubStandIn:
    """One repository, `acme/demo`. A pull request follows its branch while it is open. `page_size` is the
    most that it gives at once, whatever is asked for."""

    def __init__(self, world: DirectoryWorld) -> None:
        self._world = world
        self.pulls: list[dict[str, object]] = []
        self.page_size = 100

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        parts = urlsplit(path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        match method, parts.path:
            case "GET", "/repos/acme/demo":
                return 200, {"id": 1, "full_name": "acme/demo", "default_branch": "main", "private": True}
            case "GET", "/repos/acme/demo/pulls":
                return 200, self._list(query)
            case "POST", "/repos/acme/demo/pulls":
                return self._open(json.loads(body))
            case _:
                return 404, {"message": "Not Found", "documentation_url": _DOCS, "status": "404"}

    def merge(self, number: int) -> None:
        self.pulls[number - 1] |= {"state": "closed", "merged_at": "2026-01-26T19:01:12Z"}

    def _list(self, query: dict[str, str]) -> list[dict[str, object]]:
        owner, _, head = query["head"].partition(":")
        assert owner == "acme", "without its owner the filter is ignored"
        found = [
            self._row(pull)
            for pull in reversed(self.pulls)
            if query["state"] in ("all", pull["state"])
            and (pull["head"], pull["base"]) == (head, query["base"])
        ]
        size = min(int(query["per_page"]), self.page_size)
        page = int(query["page"])
        return found[(page - 1) * size : page * size]

    def _open(self, draft: dict[str, str]) -> tuple[int, object]:
        pair = (draft["head"], draft["base"])
        if any((pull["head"], pull["base"], pull["state"]) == (*pair, "open") for pull in self.pulls):
            return self._invalid(
                {"code": "custom", "message": f"A pull request already exists for acme:{pair[0]}."}
            )
        for field in ("head", "base"):
            if self._sha(draft[field]) is None:
                return self._invalid({"field": field, "code": "invalid"})
        pull: dict[str, object] = {"number": len(self.pulls) + 1, "state": "open", "merged_at": None}
        pull |= {"head": draft["head"], "base": draft["base"], "title": draft["title"], "body": draft["body"]}
        self.pulls.append(pull)
        return 201, self._row(pull)

    def _invalid(self, error: dict[str, str]) -> tuple[int, object]:
        errors = [{"resource": "PullRequest", **error}]
        return 422, {"message": "Validation Failed", "errors": errors, "documentation_url": _DOCS}

    def _row(self, pull: dict[str, object]) -> dict[str, object]:
        head, base = str(pull["head"]), str(pull["base"])
        if pull["state"] == "open" or "sha" not in pull:
            pull["sha"] = self._sha(head) or pull.get("sha")
        return {
            "id": 1_000 + int(str(pull["number"])),
            "number": pull["number"],
            "html_url": f"https://github.com/acme/demo/pull/{pull['number']}",
            "state": pull["state"],
            "merged_at": pull["merged_at"],
            "title": pull["title"],
            "body": pull["body"],
            "draft": False,
            "head": {"label": f"acme:{head}", "ref": head, "sha": pull["sha"]},
            "base": {"label": f"acme:{base}", "ref": base, "sha": self._sha(base)},
        }

    def _sha(self, branch: str) -> str | None:
        listed = git(self._world.origin, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return listed or None
