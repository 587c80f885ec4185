"""`ltrec serve` as a process: real clients, another artefact in the middle, SIGTERM in the middle, and nothing lost or wrong."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from ltrec.cli.main import main
from ltrec.serving.served import ServedModel
from tests.support.serve_process import Crowd, ServerProcess
from tests.support.serving import opened, random_histories
from tests.support.tiny_artefact import tiny_artefact, with_other_items

HISTORIES, K = random_histories(40), 5


def wanted_of(models: list[ServedModel]) -> dict[str, list[dict]]:
    """What each model's own recommender says of every history alone."""
    return {model.short_digest: [model.recommender([history], K)[0] for history in HISTORIES] for model in models}


def refuse_wrong(answers: list[tuple[int, dict]], wanted: dict[str, list[dict]]) -> None:
    for number, answer in answers:
        own = wanted[answer["artefact"]][number]
        assert answer["items"] == own["items"] and answer["scores"] == own["scores"], "to the last bit"
        assert (answer["stratum"], answer["source"]) == (own["stratum"], own["source"])


def point(link: Path, folder: Path) -> None:
    """Move a link in one step, as `ln -sfn` and a rename do."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(folder)
    os.replace(fresh, link)


def test_a_reload_and_a_stop_in_the_middle(tmp_path):
    first = tiny_artefact(tmp_path / "first")
    second, broken = with_other_items(first, tmp_path / "second"), with_other_items(first, tmp_path / "broken")
    (broken / "tables.safetensors").write_bytes(b"nothing")
    wanted, link = wanted_of([opened(first), opened(second)]), tmp_path / "current"
    point(link, first)
    with ServerProcess(link, tmp_path / "out", "--batch", "8", eager=True) as server:
        crowd = Crowd(lambda: server.url, HISTORIES, k=K, threads=3)
        server.wait_for(lambda: len(crowd.answers) > 30)
        point(link, broken)
        server.signal(signal.SIGHUP)
        said = server.wait_for(lambda: httpx.get(f"{server.url}/health", trust_env=False).json()["reload"])
        assert "serves on: " in said and "tables.safetensors is damaged" in said
        point(link, second)
        server.signal(signal.SIGHUP)
        server.wait_for(lambda: "reloaded: " in httpx.get(f"{server.url}/health", trust_env=False).json()["reload"])
        already = len(crowd.answers)
        server.wait_for(lambda: len(crowd.answers) > already + 30)
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        crowd.wait(60)
    assert crowd.faults == [] and server.answered() == len(crowd.answers)
    refuse_wrong(crowd.answers, wanted)
    assert {answer["artefact"] for _, answer in crowd.answers} == {*wanted}
    assert {answer["artefact"] for _, answer in crowd.answers[-20:]} == {opened(second).short_digest}
    assert server.notes.read_text().splitlines()[-1] == "stopped; every request that was accepted has its answer"


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_hundred_thousand_requests_with_a_reload_and_a_restart(tmp_path):
    """After SIGTERM a supervisor starts the server again on its port; clients repeat what was not taken."""
    most = int(os.environ.get("LTREC_SERVE_REQUESTS", "100000"))
    first = tiny_artefact(tmp_path / "first", exported=True)
    second = with_other_items(first, tmp_path / "second")
    wanted, link = wanted_of([ServedModel(first), ServedModel(second)]), tmp_path / "current"
    point(link, first)
    servers = [ServerProcess(link, tmp_path / "one")]
    crowd = Crowd(lambda: servers[0].url, HISTORIES, k=K, threads=16, most=most, again=True)
    try:
        servers[0].wait_for(lambda: len(crowd.answers) > most // 4, 2000)
        point(link, second)
        servers[0].signal(signal.SIGHUP)
        servers[0].wait_for(lambda: len(crowd.answers) > most // 2, 2000)
        servers[0].signal(signal.SIGTERM)
        assert servers[0].ended() == 0
        servers.append(ServerProcess(link, tmp_path / "two", port=int(servers[0].url.rpartition(":")[2])))
        crowd.wait(2000)
        servers[1].signal(signal.SIGTERM)
        assert servers[1].ended() == 0
    finally:
        crowd.stop.set()
        for server in servers:
            server.process.kill()
    assert crowd.faults == [] and len(crowd.answers) == most
    assert sum(server.answered() for server in servers) == most, "none was answered in vain"
    refuse_wrong(crowd.answers, wanted)
    assert {answer["artefact"] for _, answer in crowd.answers} == {*wanted}


def test_mistakes_at_the_start_are_one_line(tmp_path, capfd, monkeypatch):
    assert main(["serve", str(tmp_path)]) == 2
    assert "is no exported model: it has no artefact.json ('ltrec export RUN --out DIR' writes one)" in capfd.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(tmp_path), "--port", str(port)]) == 2
        assert f"error: port {port} of 127.0.0.1 is in use; choose another --port" in capfd.readouterr().err
    assert main(["serve", str(tmp_path), "--host", "no such host"]) == 2
    assert "--host 'no such host' is not an address of this machine" in capfd.readouterr().err
    assert main(["serve", str(tmp_path), "--max-history", "0"]) == 2
    assert "must be at least 1" in capfd.readouterr().err
    monkeypatch.setattr("ltrec.core.extension.extras.find_spec", lambda name: None)
    assert main(["serve", str(tmp_path)]) == 2
    assert "pip install 'ltrec[serve]'" in capfd.readouterr().err
