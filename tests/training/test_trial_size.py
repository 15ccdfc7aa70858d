import pytest

from raytune_pipe.training.trial_size import MisfitError, trial_size
from tests.training.test_trainer import make_data, make_trial


def test_counts_what_is_trained() -> None:
    size = trial_size(make_trial(model={"kind": "mlp", "widths": [8]}), make_data(50))
    assert size == (16 * 8 + 8 + 8 * 3 + 3, 50)
    assert size.has_more_parameters
    assert not trial_size(make_trial(model={"kind": "mlp", "widths": [1]}), make_data(50))[0] > 50


def test_names_the_part_that_does_not_fit() -> None:
    with pytest.raises(MisfitError, match=r"^trial\.loss: mse must have a task") as caught:
        trial_size(make_trial(loss={"kind": "mse"}), make_data())
    assert caught.value.part == "loss"
    weighted = make_trial(loss={"kind": "nll", "class_weights": [1.0, 2.0]})
    with pytest.raises(MisfitError, match=r"^trial\.loss\.class_weights: must have one") as caught:
        trial_size(weighted, make_data())
    assert caught.value.part == "loss.class_weights"
    with pytest.raises(MisfitError, match=r"^trial\.model: model recurrent must have"):
        trial_size(make_trial(model={"kind": "recurrent"}), make_data())
