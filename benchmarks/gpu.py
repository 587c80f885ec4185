"""The GPU code paths on a real device: are they right, do they wait, how fast are they. `make bench-gpu`

    python benchmarks/gpu.py                     the CUDA device, if torch sees one, else the rehearsal on the CPU
    python benchmarks/gpu.py --sizes tiny        seconds; CI rehearses with it

One process, no network, and data that it makes itself. It needs torch, Lightning and pyarrow, not DeepSpeed, TorchJD or DuckDB:
what their absence leaves out is printed. So are cells that are left out because --minutes have passed.

    right       weights after a few steps without dropout, in float64 and float32, against float64 on the CPU, for all ways to train
    waits       how often a step makes the host wait for the device, with file and line: the decision whether a gradient is finite
    launches    kernels that a step starts (on the CPU: tensor operations that are no views)
    ms          a step, over many without a pause; FLOPs are those of its matrix products, MFU their share of the device's peak

The last line is one JSON object. A rehearsal's times say nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch
from flops import Flops
from harness.device_checks import CHECKS, TINY, check
from harness.device_steps import measure
from harness.steps import WAYS, Size

SMALL = Size(rows=128, max_len=50, items=12_000, width=64, dropout=0.2)
LARGE = Size(
    rows=1024,
    max_len=200,
    items=100_000,
    width=256,
    dropout=0.2,
    objective="sampled_softmax",
    options={"negatives": 4096, "scope": "shared"},
    touched=True,
    more={"heads": 4},
)
SIZES = {"tiny": TINY, "small": SMALL, "large": LARGE}

PEAKS = {
    "H200": (67, 989),
    "H100": (67, 989),
    "A100": (19.5, 312),
    "L40": (91, 181),
    "L4": (30, 121),
    "V100": (15.7, 125),
    "T4": (8.1, 65),
}
"""Dense TFLOP/s in float32 without tensor cores, and in bfloat16 or float16, by the makers' data sheets."""

OPTIONAL = {
    "deepspeed": "ZeRO is not measured here anyway; the strategies deepspeed_stage_* cannot run on this machine",
    "torchjd": "rules of TorchJD (upgrad, cagrad, ...) are left out; dot_attention stands for the rules on the Gram matrix",
    "duckdb": "ltrec prepare cannot run on this machine; the data here are made without it",
}


def main() -> None:
    """Check, measure, print; the last line is one JSON object."""
    arguments = _arguments()
    for chatty in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    device, end = arguments.device, time.monotonic() + 60 * arguments.minutes
    about = {"device": _name(device), "torch": torch.__version__, "python": platform.python_version()}
    print(
        f"{about['device']}, torch {about['torch']}{': a rehearsal, its times say nothing about a GPU' if device == 'cpu' else ''}"
    )
    missing = [name for name in OPTIONAL if find_spec(name) is None]
    for name in missing:
        print(f"skipped: no {name}: {OPTIONAL[name]}")
    checks = check_all(device, arguments.ways)
    cells = list(measure_all(arguments, device, end))
    failed = [check["what"] for check in checks if not check["right"]]
    print(f"{len(checks) - len(failed)} of {len(checks)} checks are right{': wrong are ' + ', '.join(failed) if failed else ''}")
    print(json.dumps({"benchmark": "gpu", **about, "missing": missing, "wrong": failed, "checks": checks, "cells": cells}))
    raise SystemExit(1 if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cuda", "cpu"), default=default)
    sizes = ["small", "large"] if default == "cuda" else ["tiny"]
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=sizes)
    parser.add_argument("--precisions", nargs="+", default=["32-true", "bf16-mixed"] if default == "cuda" else ["32-true"])
    parser.add_argument("--ways", nargs="+", choices=tuple(CHECKS), default=list(CHECKS), metavar="WAY", help="only these")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a cell")
    parser.add_argument("--minutes", type=float, default=8.0, help="begin no cell after so long")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device, where the table has none")
    return parser.parse_args()


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})"


def check_all(device: str, wanted: list[str]) -> list[dict[str, Any]]:
    """Every check, printed as it is made."""
    found = []
    for what in wanted:
        for result in check(what, device):
            found.append(result)
            right, limit = "right" if result["right"] else "WRONG", result["limit"]
            print(f"{right:<6} {result['what']:<36} off by {result['off']:.1e} (limit {limit:.0e})", flush=True)
    return found


def measure_all(arguments: argparse.Namespace, device: str, end: float) -> Iterator[dict[str, Any]]:
    """Every way at every size and precision, while there is time."""
    print(f"{'size':<7}{'precision':<12}{'way':<24}{'ms':>9}{'launches':>10}{'waits':>7}{'GFLOP':>9}{'MFU':>8}{'MiB':>9}")
    ways = [way for way in WAYS if way in arguments.ways]
    cells = [(size, precision, way) for size in arguments.sizes for precision in arguments.precisions for way in ways]
    for size, precision, way in cells:
        if WAYS[way].mode == "aligned" and SIZES[size].touched:
            print(f"left out: {size} {precision} {way}: tens of thousands of launches, and it walks over the whole table")
            continue
        if time.monotonic() > end:
            print(f"left out: {size} {precision} {way}: {arguments.minutes:g} minutes have passed")
            continue
        found = measure(SIZES[size], WAYS[way], device=device, precision=precision, timed=arguments.steps, flops=Flops())
        peak = arguments.peak or peak_of(_name(device), precision)
        share = None if peak is None else found.gflop / 1e3 / (found.step_ms / 1e3) / peak
        mfu, memory = "-" if share is None else f"{share:.1%}", "-" if found.memory_mib is None else f"{found.memory_mib:,.0f}"
        print(
            f"{size:<7}{precision:<12}{way:<24}{found.step_ms:>9.2f}{found.launches:>10,}{found.waits:>7}{found.gflop:>9.2f}"
            f"{mfu:>8}{memory:>9}",
            flush=True,
        )
        for line in found.wait_lines:
            print(f"{'':<19}waits: {line}")
        yield {"size": size, "precision": precision, "way": way, "mfu": share, **found.as_dict()}


def peak_of(name: str, precision: str) -> float | None:
    """TFLOP/s of a device by its name; None: not in the table."""
    plain, half = next((peaks for known, peaks in PEAKS.items() if known in name), (None, None))
    return plain if precision == "32-true" else half


if __name__ == "__main__":
    main()
