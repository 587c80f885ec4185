"""Paths in a run folder, and what is looked at there."""

from ltrec.core.storage.run_folder import RunFolder, checkpoint_file_name, crash_file_name, folder_of_checkpoint


def test_a_fresh_folder_is_no_run_and_nothing_in_it_is_unexpected(tmp_path):
    run = RunFolder(tmp_path)
    for path in (run.stop, run.requeue, run.lock, run.owner, tmp_path / ".config.yaml.7.tmp"):
        path.touch()
    for path in (run.launch, run.code, tmp_path / "empty"):
        path.mkdir()
    (run.launch / "train.log").touch()
    assert not run.is_run() and run.unexpected_files() == [] and run.existing_checkpoints() == [] and run.eval_tables() == []
    (tmp_path / "thesis.doc").touch()
    (tmp_path / "empty" / "letter").touch()
    assert [path.name for path in run.unexpected_files()] == ["empty", "thesis.doc"]
    run.config.touch()
    assert run.is_run()


def test_checkpoints_on_disk_are_told_from_what_is_being_written(tmp_path):
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    for name in ("last.ckpt", "best.ckpt", "last.ckpt.a", ".last.ckpt.7.tmp", ".best.ckpt"):
        (run.checkpoints / name).touch()
    assert run.existing_checkpoints() == [run.checkpoint_file("best"), run.last]
    assert [path.name for path in run.torn_files()] == [".last.ckpt.7.tmp"]
    assert folder_of_checkpoint(run.last) == run and run.stage1.name == checkpoint_file_name("stage1")


def test_tables_of_a_split_have_names_of_their_own(tmp_path):
    run = RunFolder(tmp_path)
    assert run.eval_table("test") == tmp_path / "eval" / "test.parquet"
    assert run.eval_table("valid", "item-knn") == tmp_path / "eval" / "baseline-item-knn-valid.parquet"
    assert run.eval_summary("test") == tmp_path / "eval" / "test.json"
    run.eval.mkdir()
    run.eval_table("test").touch()
    run.eval_summary("test").touch()
    run.eval_comparison("test", "joint").touch()
    assert run.eval_tables() == [run.eval_table("test")]
    assert run.eval_comparisons("test") == [run.eval / "test-against-joint.json"] and run.eval_comparisons("valid") == []


def test_a_crash_file_says_when_and_who():
    assert crash_file_name("20260102T030405.000006", 7) == "crash-20260102T030405.000006-7.txt"
