"""The README's two minutes of learned routing: its commands print what it says, on a fresh copy."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from laneway import bundle
from tests.harness import learned_set
from tests.harness.gateway import Served, served, told, until

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Learned routing in two minutes")[2].partition("\n### ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a stranger has cloned, as far as these commands go."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "config").mkdir()
    for name in ("learned.toml", "learned.jsonl"):
        shutil.copy(bundle.path(f"config/{name}"), folder / "config")
    # Now and then the judge would score one of these requests, and the counts that the README prints would be one more.
    config = folder / "config" / "learned.toml"
    text = config.read_text(encoding="utf-8")
    still = re.sub(r"^(share|pairs) = .*$", r"\1 = 0", text, flags=re.MULTILINE)
    assert still != text
    config.write_text(still, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[Served]:
    with served(folder, folder / "config" / "learned.toml") as gateway:
        yield gateway


def commands() -> list[list[str]]:
    """What follows `laneway` in each line that is typed."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines]


def decided(gateway: Served, decision: str) -> Any:
    """Receipts are written behind the requests."""
    found = gateway.get(f"/v1/router/decisions/{decision}")
    return found.json() if found.status_code == 200 else None


def expected() -> list[str]:
    return [text for kind, text in BLOCKS if kind == "text"]


def test_the_set_is_what_its_script_makes() -> None:
    assert bundle.read("config/learned.jsonl").decode() == learned_set.lines()


def test_a_stranger_sees_easy_prompts_go_cheap_and_hard_ones_strong(gateway: Served, folder: Path) -> None:
    """Command by command; only the port and the batch's name are another."""
    serve, teach, proof, search, undo = commands()
    assert serve == ["serve", "--config", "config/learned.toml"]
    taught, routed = expected()
    snippet = next(text for kind, text in BLOCKS if kind == "python").replace(
        "127.0.0.1:8080", f"127.0.0.1:{gateway.port}"
    )
    before = gateway.chat("auto", "What is 12 + 31?")
    assert before.headers["x-laneway-model"] == "sim-large"

    code, said, wrong = told(folder, *teach, "--url", gateway.url)
    assert (code, wrong) == (0, "")
    assert re.sub(r"batch_\w+", "batch_...", said).replace(f":{gateway.port}", ":8080") == taught
    # The lesson is learned behind the requests; asking for the dial waits for it.
    dial = gateway.get("/v1/router/dial?pool=auto").json()
    assert dial["positions"]

    out = StringIO()
    with redirect_stdout(out):
        exec(compile(snippet, "README.md", "exec"), {})
    assert out.getvalue() == routed

    decision = gateway.chat("auto", "What is 318 * 742?").headers["x-laneway-decision"]
    receipt = until(lambda: decided(gateway, decision))
    nearest = receipt["neighbours"][0]["example"]
    weighed = gateway.get(f"/v1/router/memory/{nearest}/influence").json()
    assert decision in {each["decision"] for each in weighed["data"]}
    assert weighed["changed"] == sum(each["changed"] for each in weighed["data"]) < weighed["decisions"]
    assert "It is an estimate" in weighed["method"]

    code, said, _ = told(folder, *proof, "--n", "100", "--splits", "1", "--rules", "cheap,strong,ours")
    assert code == 0
    assert "\nRoutable: " in said
    code, said, _ = told(folder, *search)
    assert code == 0
    assert len(said.splitlines()) > 10
    assert all("capital of" in line for line in said.splitlines())
    code, said, _ = told(folder, *undo)
    assert (code, said.split(" of ")[0]) == (0, "358 examples")


def test_it_routes_prompts_it_has_never_seen_better_than_either_model(tmp_path: Path) -> None:
    """On another set of the same kinds: nearly the strong's quality for a part of its bill."""
    config = bundle.read("config/learned.toml").decode().split("[judges.grader]")[0]
    known = {json.loads(line)["prompt"] for line in learned_set.lines().splitlines()}
    fresh = [prompt for prompt in learned_set.prompts(seed=99, each=5) if prompt not in known]
    with served(tmp_path, config) as gateway:
        file = bundle.path("config/learned.jsonl")
        assert told(tmp_path, "teach", str(file), "--config", "gateway.toml", "--url", gateway.url)[0] == 0
        gateway.get("/v1/router/dial?pool=auto")
        names = {model: name for name, model in learned_set.MODELS.items()}
        scored = [json.loads(learned_set.line(prompt)) for prompt in fresh]
        served_by = [names[gateway.chat("auto", prompt).headers["x-laneway-model"]] for prompt in fresh]
    quality = sum(row["scores"][name] for row, name in zip(scored, served_by, strict=True))
    bill = sum(row["cost"][name] for row, name in zip(scored, served_by, strict=True))
    strong = sum(row["scores"]["strong"] for row in scored)
    assert quality > 0.9 * strong
    assert bill < 0.8 * sum(row["cost"]["strong"] for row in scored)
    assert sum(row["scores"]["cheap"] for row in scored) < 0.75 * strong
