"""Run a module-level function in real gloo processes; every rank's result or traceback comes back, and nothing can hang.

Ranks are forked from a server that has imported torch, Lightning and ltrec already, which costs four seconds of a processor: once
per test process instead of once per rank. They have the order of their sets in common, therefore, as ranks that torchrun starts
have not; tests that run the command with `processes=2` (tests.support.commands) are for that.
"""

import multiprocessing as mp
import os
import pickle
import queue as queues
import time
import traceback

import torch
import torch.distributed as dist

from tests.support.timeouts import scaled

_WARM = ["torch.distributed.fsdp", "pytorch_lightning", "ltrec.api.train", "hypothesis", "pytest"]


def ranks_context(backend="gloo"):
    """Where processes come from; those that use a GPU start afresh, for CUDA does not survive a fork."""
    if "cuda" in backend:
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(_WARM)
    return context


def spawn(function, world_size, rendezvous, *args, timeout=120, backend="gloo"):
    """Call `function(rank, *args)` on every rank of a group; return the results in rank order.

    `rendezvous` is a fresh path for the FileStore (no ports, no races).
    """
    context = ranks_context(backend)
    queue = context.Queue()
    common = (world_size, str(rendezvous), backend, dict(os.environ), queue)
    processes = [context.Process(target=_enter, args=(function, rank, *common, args), daemon=True) for rank in range(world_size)]
    for process in processes:
        process.start()
    results = {}
    try:
        while len(results) < world_size:
            rank, good, value = _next(queue, processes, timeout)
            assert good, f"rank {rank} failed:\n{value}"
            results[rank] = pickle.loads(value)
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
    return [results[rank] for rank in range(world_size)]


def _next(queue, processes, timeout):
    """The next result; at once an error when a process died without a word (its imports failed, say)."""
    end = time.monotonic() + scaled(timeout)
    while time.monotonic() < end:
        dead = [rank for rank, process in enumerate(processes) if process.exitcode]
        try:
            return queue.get(timeout=1)
        except queues.Empty:
            assert not dead, f"ranks {dead} died; what they wrote to stderr says why"
    raise AssertionError(f"some rank did not come back within {timeout} s")


def _enter(function, rank, world_size, rendezvous, backend, environment, queue, args):
    os.environ.clear()  # the server has that of the moment at which it started
    os.environ.update(environment, OMP_NUM_THREADS="1")
    torch.set_num_threads(1)
    try:
        if "cuda" in backend:
            torch.cuda.set_device(rank)
        dist.init_process_group(backend, init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
        value = function(rank, *args)
        queue.put((rank, True, pickle.dumps(value)))  # a tensor sent as such would live in this process's memory
        dist.destroy_process_group()
    except BaseException:  # noqa: BLE001 - whatever it is, it is told to the parent
        queue.put((rank, False, traceback.format_exc()))
