"""Two real processes that do not belong to one run: each ends with the same line and exit code 2, and none waits."""

import contextlib
import io
import os
import queue
import re
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ltrec.cli.main import main
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.ownership import own_folder
from ltrec.run.process import agreement
from ltrec.run.train import train
from tests.support.spawn import ranks_context
from tests.support.tiny_run import checkpoint, tiny_config, tiny_data, tiny_words

PLAIN = ["stream.lanes=12", "optim.schedule=constant"]  # a rate that falls would be planned for one length
SHARDED = ["gradients.name=stratified", "strategy.name=fsdp2"]
ZERO = ["gradients.name=stratified", "strategy.name=deepspeed_stage_2"]


@dataclass
class Case:
    """What rank 0 and rank 1 are started with, and what both must say."""

    words: tuple[list[str], list[str]]
    said: str
    sizes: tuple[str, str] = ("2", "2")
    patch: dict[str, str] = field(default_factory=dict)
    """Of rank 1's agreement module: name -> what it answers."""
    folder: str = ""
    """Rank 1's working folder."""
    command: str = "train"


def differs(key, zero, one):
    return rf"the ranks are not one run: {re.escape(key)} is {zero} on rank 0 and {one} on rank 1"


def cases(work):
    both = ["trainer.max_epochs=1"]
    old, new = (work / "old" / "r" / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    return {
        "seed": Case((both, [*both, "seed=3"]), differs("seed", 0, 3)),
        "rate": Case((both, [*both, "optim.lr=0.5"]), differs("optim.lr", "0.001", "0.5")),
        "rate under ZeRO": Case((ZERO, [*ZERO, "optim.lr=0.5"]), differs("optim.lr", "0.001", "0.5")),
        "rate under FSDP2": Case((SHARDED, [*SHARDED, "optim.lr=0.5"]), differs("optim.lr", "0.001", "0.5")),
        "how often": Case((both, [*both, "trainer.log_every_steps=7"]), differs("trainer.log_every_steps", 3, 7)),
        "folder": Case((both, [*both, f"out={work}/elsewhere"]), "the ranks are not one run: out is "),
        "strategy": Case((both, [*both, *SHARDED]), differs("gradients.name", "joint", "stratified")),
        "stale data": Case((both, [*both, f"data.path={work}/stale"]), differs("the data set's digest", r"\w{12}", r"\w{12}")),
        "no data": Case((both, [*both, f"data.path={work}/nowhere"]), r"nowhere/manifest\.json not found"),
        "no data at all": Case(([f"data.path={work}/nowhere"],) * 2, r"nowhere/manifest\.json not found"),
        "resume": Case(([f"resume={old}"], [f"resume={new}"]), differs("resume", old, new)),
        "its contents": Case((["resume=last.ckpt"],) * 2, differs("the step to resume from", 4, 8), folder="step8"),
        "its bytes": Case(
            (["resume=last.ckpt"],) * 2, differs("the checkpoint's digest", r"\w{12}", r"\w{12}"), folder="step4-of-another"
        ),
        "no checkpoint": Case((["resume=last.ckpt"],) * 2, r"resume=last\.ckpt: no such checkpoint", folder="."),
        "init_from": Case((["init_from=last.ckpt"],) * 2, differs("the digest of init_from", r"\w{12}", r"\w{12}"), folder="step8"),
        "code": Case(
            (both, both), differs("the code", r"ltrec \S+ with digest \w{12}", ".* stale"), patch={"code_digest": "stale"}
        ),
        "torch": Case((both, both), r"torch is 2\S+ on rank 0 and 1\.0 on rank 1", patch={"version_of": "1.0"}),
        "more there": Case((both, both), differs("the number of processes (WORLD_SIZE)", 2, 3), sizes=("2", "3")),
        "more here": Case((both, both), differs("the number of processes (WORLD_SIZE)", 3, 2), sizes=("3", "2")),
        "typo there": Case((both, ["optim.rl=1"]), r"unknown key 'optim\.rl'"),
        "typo here": Case((["optim.rl=1"], both), r"unknown key 'optim\.rl'"),
        "typo": Case((["optim.rl=1"],) * 2, r"unknown key 'optim\.rl'"),
        "owned": Case((["name=owned"],) * 2, rf"is being trained by process {os.getpid()} on "),
        "not ours": Case((["name=notes"],) * 2, "holds todo and no config.yaml that says whose it is"),
        **cases_of_evaluate(work),
    }


def cases_of_evaluate(work):
    return {
        "ranked with another checkpoint": Case(
            (["--checkpoint", "last"], ["--checkpoint", "best"]),
            differs(f"the checkpoint's digest of {work}/old/r", r"\w{12}", r"\w{12}"),
            command="evaluate",
        ),
        "ranked otherwise": Case(
            ([], ["evaluation.filter_seen=false"]),
            differs(f"evaluation.filter_seen of {work}/old/r", "True", "False"),
            command="evaluate",
        ),
        "ranked on nothing": Case(([], ["--data", "nowhere"]), "nowhere is not a prepared data set", command="evaluate"),
    }


def ask(rank, work, asked, answers):
    """One rank: plays a case after the other, each at a port of its own."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "test"}
    answers.put("ready")
    while True:
        case, port = asked.get()
        os.environ |= {"MASTER_PORT": str(port), "WORLD_SIZE": case.sizes[rank], "LOCAL_WORLD_SIZE": case.sizes[rank]}
        os.chdir(work / (case.folder if rank and case.folder else "step4"))
        told = io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()), stale(case.patch if rank else {}):
            common = tiny_words(work / "data", work / "out", *PLAIN) if case.command == "train" else [str(work / "old" / "r")]
            code = main([case.command, *common, *case.words[rank]])
        answers.put((rank, code, told.getvalue()))


@contextlib.contextmanager
def stale(answers):
    with contextlib.ExitStack() as patches:
        for name, answer in answers.items():
            patches.enter_context(pytest.MonkeyPatch.context()).setattr(
                f"{agreement.__name__}.{name}", lambda *_, answer=answer: answer
            )
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    tiny_data(work / "data")
    tiny_data(work / "stale", seed=4)
    shutil.copytree(work / "data", work / "copy")
    (work / "out" / "notes").mkdir(parents=True)
    (work / "out" / "notes" / "todo").touch()
    for epochs in (1, 2):
        run = train(tiny_config(work / "data", work / "old", *PLAIN, f"trainer.max_epochs={epochs}"))
        (work / f"step{4 * epochs}").mkdir()
        shutil.copy(run.checkpoints / "last.ckpt", work / f"step{4 * epochs}")
    other = train(tiny_config(work / "data", work / "older", *PLAIN, "trainer.max_epochs=1", "optim.lr=0.5"))
    shutil.copytree(other.checkpoints, work / "step4-of-another")
    return work


@pytest.fixture(scope="module")
def play(work):
    context = ranks_context()
    asked, answers = [context.Queue(), context.Queue()], context.Queue()
    ranks = [context.Process(target=ask, args=(rank, work, asked[rank], answers), daemon=True) for rank in (0, 1)]
    for process in ranks:
        process.start()

    for _ in ranks:
        answers.get(timeout=250)  # their imports are done

    def one(case):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for rank in (0, 1):
            asked[rank].put((case, port))
        found = {}
        for _ in range(2):
            try:
                rank, *rest = answers.get(timeout=200)
            except queue.Empty:
                pytest.fail(f"a rank hangs; heard: {found}")
            found[rank] = rest
        return [found[rank] for rank in (0, 1)]

    yield one
    for process in ranks:
        process.kill()
        process.join()


@pytest.mark.parametrize("name", cases(Path()))
def test_ranks_that_differ_end_with_the_same_line(name, work, play):
    case, before = cases(work)[name], sorted((work / "out").rglob("*"))
    with own_folder(RunFolder(work / "out" / "owned"), pytest.fail) if name == "owned" else contextlib.nullcontext():
        ended = play(case)
    for rank, (code, told) in enumerate(ended):
        assert code == 2, ended
        assert len(told.splitlines()) == 1 and re.search(case.said, told), ended
        assert told.startswith("[rank 1] error: " if rank else "error: ")
    assert sorted((work / "out").rglob("*")) == before, "nothing was written"


def test_settings_that_may_differ_between_ranks(work, play):
    """The last one: from here on the two processes are a process group."""
    mine = ["trainer.max_epochs=1", "gradients.name=stratified", "strategy.name=ddp"]
    ended = play(Case((mine, [*mine, f"data.path={work}/copy", "trainer.progress=false"]), ""))
    assert [code for code, _ in ended] == [0, 0], ended
    assert checkpoint(work / "out" / "r")["global_step"] == 4
    assert not (work / "out" / "r" / "owner.json").exists()
    ended = play(Case((mine, [*mine, "trainer.patience=1"]), ""))
    assert all("trainer.patience is 10 on rank 0 and 1 on rank 1" in told for _, told in ended), ended
