"""The weights of a checkpoint, for use outside of this package."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file

from raytune_pipe.base import ResultsError
from raytune_pipe.training.checkpoints import load_checkpoint
from raytune_pipe.training.trainer import Trainer
from raytune_pipe.trial import Trial


def export_weights(checkpoint: Path, sha256: str, target: Path) -> None:
    """Write the weights of a checkpoint as safetensors: parameters and buffers by name.

    Where the trial averages its weights, these are the averages.

    ``model.load_state_dict(safetensors.torch.load_file(target))`` takes them in.

    Raises:
        ResultsError: the checkpoint is not the one that was reported, or the target cannot be
            written.
        TrialError: it is not a checkpoint of ours.
    """
    _verify(checkpoint, sha256)
    weights = load_checkpoint(checkpoint, torch.device("cpu")).evaluated_weights
    try:
        # Cloned, since safetensors refuses tensors that share memory, such as tied weights.
        save_file(
            {
                name: weight.clone(memory_format=torch.contiguous_format)
                for name, weight in weights.items()
            },
            target,
        )
    except OSError as error:
        raise ResultsError(f"{target}: must be writable, but {error}") from error


def evaluate_test(trial: Trial, checkpoint: Path, sha256: str) -> dict[str, float]:
    """Metrics on the test part, which nothing else of the package looks at.

    Raises:
        ResultsError: the checkpoint is not the one that was reported.
        TrialError: it is not a checkpoint of this trial's.
    """
    _verify(checkpoint, sha256)
    trainer = Trainer(trial, device="cuda" if torch.cuda.is_available() else "cpu")
    trainer.load(checkpoint)
    return trainer.evaluate("test")


def _verify(checkpoint: Path, sha256: str) -> None:
    try:
        with checkpoint.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ResultsError(
            f"{checkpoint}: must be there to be read, but {error.strerror}"
        ) from error
    if found != sha256:
        raise ResultsError(
            f"{checkpoint}: must have the SHA-256 {sha256} that was reported, but got {found};"
            " the file was changed or is damaged"
        )
