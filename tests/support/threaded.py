"""Ranks as threads: torch's threaded process group, so that algebra on four ranks costs milliseconds and takes float64.

What works (tests/unit/distributed/test_engine_threaded.py): all_reduce, reduce_scatter, all_gather, broadcast and object
collectives, synchronous and with `async_op=True`, any dtype.
What does not: an asynchronous call is finished when it returns, so overlap and a forgotten `wait` are seen in gloo processes only;
global generators are shared by all ranks (`torch.manual_seed` in one thread is felt in the others), so stages keep dropout at 0
here; ranks share memory, so each must build its own model; no `all_reduce` of products of integers, no `new_group` within a
collective. Torch itself lets different collectives of different ranks meet without a word; here that is an error.

The module is private to torch: if it moves, the tests that need it are skipped and the gloo suite remains.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.support.timeouts import scaled

try:
    from torch.testing._internal.distributed import multi_threaded_pg
except ImportError:
    multi_threaded_pg = None

# Sharding enters this mode; before torch 2.13 several threads that enter it at once for the first time crash the process.
with FakeTensorMode():
    pass

threaded_or_skip = pytest.mark.skipif(multi_threaded_pg is None, reason="this torch has no threaded process group")


def on_ranks(world_size: int, function: Callable[..., Any], *args: Any, timeout: float = 30.0) -> list[Any]:
    """Call `function(rank, *args)` on every rank at once; return the results in rank order.

    A world of one runs in this thread without a process group, as training on one device does.

    Raises:
        AssertionError: with the tracebacks of all ranks that failed, or when some rank has not come back after `timeout` seconds.
    """
    if world_size == 1:
        return [function(0, *args)]
    results: dict[int, Any] = {}
    failures: dict[int, str] = {}
    store = dist.HashStore()

    def enter(rank: int) -> None:
        try:
            dist.init_process_group("threaded", rank=rank, world_size=world_size, store=store)
            results[rank] = function(rank, *args)
        except Exception:  # noqa: BLE001 - whatever it is, it is told to the test
            failures[rank] = traceback.format_exc()
            multi_threaded_pg.ProcessLocalGroup.exception_handle(None)  # wakes the other ranks
        except SystemExit:
            pass  # how a woken rank leaves
        finally:
            dist.destroy_process_group()

    with _threaded_world(multi_threaded_pg) as group:
        threads = [threading.Thread(target=enter, args=(rank,), daemon=True) for rank in range(world_size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(scaled(timeout))
        late = [rank for rank, thread in enumerate(threads) if thread.is_alive()]
        group.exception_handle(None)
        for thread in threads:
            thread.join(5)
    told = "\n".join(f"rank {rank} failed:\n{failures[rank]}" for rank in sorted(failures))
    assert not failures, told
    assert not late, f"ranks {late} of {world_size} hang: they wait in a collective that the others never entered"
    return [results[rank] for rank in range(world_size)]


@contextmanager
def _threaded_world(module: ModuleType) -> Any:
    group = module.ProcessLocalGroup
    join = module.ProcessLocalGroup._start_coll

    def join_the_same(collective: Any, pg: Any) -> Any:
        running = join(collective, pg)
        mine, theirs = _describe(collective), _describe(running._collective)
        assert mine == theirs, f"ranks disagree: {mine} meets {theirs}"
        return running

    if not hasattr(module.ThreadLocalWorld, "comms"):  # forgotten before torch 2.13, whose destroy_process_group asks for it
        module.ThreadLocalWorld.comms = property(lambda world: [])
    before = dist.distributed_c10d._world
    multithreaded = torch.autograd.is_multithreading_enabled()
    torch._C._distributed_c10d._set_thread_isolation_mode(True)
    module._install_threaded_pg()
    try:
        with mock.patch.object(group, "_start_coll", join_the_same):
            yield group
    finally:
        group.reset()
        module._uninstall_threaded_pg()
        torch._C._distributed_c10d._set_thread_isolation_mode(False)
        torch.autograd.set_multithreading_enabled(multithreaded)
        assert dist.distributed_c10d._world is before and not dist.is_initialized()


def _describe(collective: Any) -> str:
    source = getattr(collective, "src", None)
    return type(collective).__name__ + (f" from rank {source}" if source is not None else "")
