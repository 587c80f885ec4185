"""More options of sbatch: which are refused, also by the beginnings of their names, and how values are quoted."""

import pytest

from ltrec.core.errors import UserError
from ltrec.launch.slurm.sbatch_options import REFUSED, directive, quoted

# Of Slurm 22.05 to 25.05: everything sbatch knows besides what is refused.
# fmt: off
WELCOME = [
    "acctg-freq", "batch", "bb", "bbf", "begin", "burst-buffer", "cluster-constraint", "clusters", "comment", "constraint",
    "contiguous", "core-spec", "cores-per-socket", "cpu-freq", "deadline", "delay-boot", "distribution", "exclude",
    "exclusive", "export", "export-file", "extra", "extra-node-info", "get-user-env", "gpu-bind", "gpu-freq", "gres",
    "gres-flags", "hint", "hold", "ignore-pbs", "kill-on-invalid-dep", "licenses", "mail-type", "mail-user", "mcs-label",
    "mem", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "network", "nice", "no-kill", "nodefile", "nodelist",
    "oom-kill-step", "overcommit", "oversubscribe", "power", "prefer", "priority", "profile", "propagate", "qos", "reboot",
    "reservation", "segment", "sockets-per-node", "spread-job", "switches", "thread-spec", "threads-per-core", "time-min",
    "tmp", "tres-bind", "use-min-nodes", "wait-all-nodes", "wckey",
]
# fmt: on


@pytest.mark.parametrize("name", WELCOME)
def test_other_options_are_accepted(name):
    assert directive(f"{name}=1") == f"--{name}=1" and directive(name) == f"--{name}"


@pytest.mark.parametrize("name", [*REFUSED, "container-image", "container-mounts"])
def test_refused_with_the_reason(name):
    with pytest.raises(UserError, match=f"^--sbatch {name}=1: .{{10}}"):
        directive(f"{name}=1")


@pytest.mark.parametrize("short", ["ui", "outp", "o", "err", "chd", "wra", "tim", "n", "nod", "ntasks-per", "job", "gpus-per"])
def test_abbreviations_of_a_refused_name_are_refused(short):
    with pytest.raises(UserError, match=f"--sbatch {short}=1 \\(sbatch reads"):
        directive(f"{short}=1")


@pytest.mark.parametrize(
    "option", ["", "=a", "--uid=0", "-o=x", "N=2", "a b", "comment=", "comment=a\nb", "qos=\x00", "qos\n#SBATCH"]
)
def test_values_that_are_not_options(option):
    with pytest.raises(UserError, match="write name or name=value"):
        directive(option)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("export=ALL,A=b", "--export=ALL,A=b"),
        ("export=ALL,A='b,c'", "--export=\"ALL,A='b,c'\""),
        ("comment=two words # and more", '--comment="two words # and more"'),
        ('comment="a" \\', '--comment="\\"a\\" \\\\"'),
        ("constraint=a100&ib", "--constraint=a100&ib"),
        ("gres=gpu:a100:4", "--gres=gpu:a100:4"),
        ("exclusive", "--exclusive"),
    ],
)
def test_values_are_quoted_as_slurm_reads_them(option, line):
    assert directive(option) == line


def test_a_word_that_would_split_the_job_is_refused():
    with pytest.raises(UserError, match="heterogeneous jobs are not supported"):
        directive("comment=my hetjob")


def test_paths_are_quoted_and_lines_refused():
    assert quoted("runs/a-b_c.d/slurm-%j.log") == "runs/a-b_c.d/slurm-%j.log"
    assert quoted('runs/a "b" \\ $(c)') == '"runs/a \\"b\\" \\\\ $(c)"'
    with pytest.raises(UserError, match="cannot be written into a job script"):
        quoted("runs/a\n#SBATCH --uid=0")
