"""The wheel in an empty environment beside Hydra, without extras: it resolves, and takes a log the whole way. Needs an index."""

import os
import shutil
import subprocess
import sys
import venv

import pytest

from ltrec.core.extension.extras import EXTRAS
from tests.support.commands import ROOT, environment
from tests.support.source_tree import committed

pytestmark = pytest.mark.slow

HYDRA = "hydra-core==1.3.8"
"""Its last release; wants omegaconf < 2.4."""

BESIDE_HYDRA = """
import hydra, ltrec
from hydra.utils import instantiate

load = {"_target_": "ltrec.config.load.load", "files": ["conf/debug/cpu.yaml"], "overrides": ["optim.lr=5e-4"], "_convert_": "all"}
config = instantiate(load)
assert config.optim.lr == 5e-4, config.optim
print(hydra.__version__, ltrec.__version__)
"""


def run(*words, cwd, **variables):
    """A command, with nothing of this repository on its path."""
    plain = {key: value for key, value in environment(**variables).items() if key != "PYTHONPATH"}
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=plain, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an environment in bin/ that has the wheel, Hydra, and what these two need."""
    folder = tmp_path_factory.mktemp("empty")
    source = folder / "source"
    for path in committed():
        if path.parts[0] != "tests":
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, source / path)
    venv.create(folder / "env", with_pip=True)
    pip = (folder / "env/bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    index = os.environ.get("LTREC_TORCH_INDEX")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    [wheel] = folder.glob("ltrec-*.whl")
    # The tested torch, first and alone: of a newer one a plain index has builds of many gigabytes only.
    run(*pip, "install", *(("--index-url", index) if index else ()), "-c", ROOT / "constraints.txt", "torch", cwd=folder)
    run(*pip, "install", wheel, HYDRA, cwd=folder)
    run(*pip, "check", cwd=folder)
    return folder


@pytest.mark.timeout(2400)
def test_the_wheel_goes_the_whole_way_without_extras_and_beside_hydra(place):
    ltrec = place / "env/bin/ltrec"
    installed = run(place / "env/bin/python", "-m", "pip", "list", cwd=place).lower()
    assert [extra for extra in ("deepspeed", "torchjd", "matplotlib", "wandb", "onnx") if extra in installed] == []
    assert f"not installed: {', '.join(EXTRAS)}" in " ".join(run(ltrec, "doctor", cwd=place).split())
    run(ltrec, "fetch", "synthetic", "--users", 120, "--items", 40, cwd=place)
    run(ltrec, "prepare", "conf/data/synthetic.yaml", cwd=place)
    run(ltrec, "verify", "data/synthetic", cwd=place)
    run(ltrec, "train", "conf/data/synthetic.yaml", "conf/debug/cpu.yaml", "name=a", "trainer.max_steps=3", cwd=place)
    run(ltrec, "evaluate", "runs/a", cwd=place)
    run(ltrec, "predict", "runs/a", "--out", "top.parquet", cwd=place)
    assert (place / "runs/a/eval/test.parquet").exists() and (place / "top.parquet").exists()
    run(place / "env/bin/python", "-c", BESIDE_HYDRA, cwd=place)


def test_the_wheel_is_the_package_with_its_configs_and_types(place):
    site = next((place / "env/lib").glob("python*/site-packages"))
    assert (site / "ltrec/py.typed").exists()
    assert (site / "ltrec/share/conf/debug/cpu.yaml").exists()
    assert not (site / "tests").exists() and not (site / "docs").exists()
    assert sys.version_info[:2] == tuple(map(int, site.parent.name.removeprefix("python").split(".")))
