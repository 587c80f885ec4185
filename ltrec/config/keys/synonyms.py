"""What other libraries call a setting: people who come from Lightning, Hugging Face, RecBole or W&B type these."""

from __future__ import annotations

from collections.abc import Collection

SYNONYMS: dict[str, tuple[str, ...]] = {
    "data.path": ("data_dir", "data_path", "dataset", "dataset_path"),
    "evaluation.chunk_rows": ("eval_batch_size", "per_device_eval_batch_size", "test_batch_size"),
    "evaluation.cutoffs": ("ks", "topk", "k_list"),
    "model.blocks": ("n_layers", "num_layers", "num_blocks", "num_hidden_layers"),
    "model.dropout": ("dropout_rate", "dropout_prob", "hidden_dropout_prob"),
    "model.heads": ("n_heads", "num_heads", "num_attention_heads"),
    "model.name": ("architecture", "backbone", "model_name"),
    "model.width": ("d_model", "embed_dim", "embedding_dim", "embedding_size", "hidden_dim", "hidden_size", "hidden_units"),
    "name": ("exp_name", "experiment_name", "run_name"),
    "objective.name": ("criterion", "loss", "loss_type"),
    "objective.negatives": ("neg_samples", "num_negatives", "num_neg_samples", "train_neg_sample_args"),
    "optim.clip_norm": ("clip_grad_norm", "gradient_clip_val", "grad_clip", "max_grad_norm"),
    "optim.eps": ("adam_epsilon", "epsilon"),
    "optim.beta1": ("adam_beta1", "betas"),
    "optim.beta2": ("adam_beta2",),
    "optim.lr": ("learning_rate", "lr_rate"),
    "optim.schedule": ("lr_scheduler", "lr_scheduler_type", "scheduler"),
    "optim.warmup_steps": ("num_warmup_steps", "warmup"),
    "optim.weight_decay": ("wd", "l2_reg"),
    "out": ("default_root_dir", "log_dir", "output_dir", "save_dir"),
    "resume": ("ckpt_path", "resume_from", "resume_from_checkpoint"),
    "seed": ("random_seed", "random_state", "seed_everything"),
    "stream.batch_rows": ("batch_size", "global_batch_size", "per_device_train_batch_size", "train_batch_size"),
    "stream.max_len": ("max_length", "max_seq_len", "max_seq_length", "maxlen", "seq_len", "sequence_length"),
    "stream.threads": ("dataloader_num_workers", "num_workers", "workers"),
    "tracking.project": ("wandb_project",),
    "trainer.accelerator": ("device", "use_gpu"),
    "trainer.accumulate": ("accumulate_grad_batches", "gradient_accumulation_steps"),
    "trainer.checkpoint_every_steps": ("every_n_train_steps", "save_steps"),
    "trainer.log_every_steps": ("log_every_n_steps", "logging_steps"),
    "trainer.max_epochs": ("epochs", "n_epochs", "num_epochs", "num_train_epochs"),
    "trainer.monitor": ("metric_for_best_model", "valid_metric"),
    "trainer.patience": ("early_stopping", "early_stopping_patience", "stopping_step"),
    "trainer.precision": ("bf16", "dtype", "fp16", "mixed_precision"),
    "trainer.validate_every_epochs": ("check_val_every_n_epoch", "eval_steps", "val_check_interval"),
}
"""Key -> what it is called elsewhere."""

_KEYS: dict[str, str] = {word: key for key, words in SYNONYMS.items() for word in words}


def synonym(key: str, known: Collection[str]) -> str | None:
    """The key that the last word of `key` means elsewhere, if it is among those that are `known`."""
    meant = _KEYS.get(key.rpartition(".")[2].lower())
    return meant if meant in known else None
