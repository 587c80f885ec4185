"""Run a module-level function in real gloo processes; every rank's result or traceback comes back, and nothing can hang."""

import multiprocessing as mp
import os
import traceback

import torch
import torch.distributed as dist


def spawn(function, world_size, rendezvous, *args, timeout=120):
    """Call `function(rank, *args)` on every rank of a gloo group; return the results in rank order.

    `rendezvous` is a fresh path for the FileStore (no ports, no races).
    """
    context = mp.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=_enter, args=(function, rank, world_size, str(rendezvous), queue, args), daemon=True)
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    results = {}
    try:
        while len(results) < world_size:
            rank, good, value = queue.get(timeout=timeout)
            assert good, f"rank {rank} failed:\n{value}"
            results[rank] = value
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
    return [results[rank] for rank in range(world_size)]


def _enter(function, rank, world_size, rendezvous, queue, args):
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    try:
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
        value = function(rank, *args)
        queue.put((rank, True, value))
        dist.destroy_process_group()
    except BaseException:  # noqa: BLE001 - whatever it is, it is told to the parent
        queue.put((rank, False, traceback.format_exc()))
