"""What one optimizer step did to the weights, measured once an epoch to cost next to nothing."""

from torch import nn
from torch.nn.utils import get_total_norm


class UpdateProbe:
    """Measures one step: made after the backward pass, read after the update.

    Norms are over all trainable parameters together.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._before = [weight.detach().clone() for weight in self._weights]
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        self._grad_norm = get_total_norm(gradients)

    def grad_norm(self) -> float:
        """L2 norm of the gradient as the backward pass left it, before any clipping."""
        return self._grad_norm.item()

    def update_ratio(self) -> float:
        """norm(update) / norm(weight) of the step, near 1e-3 where training is healthy.

        NaN or infinite where all weights were zero before it.
        """
        pairs = zip(self._weights, self._before, strict=True)
        update = get_total_norm([weight.detach() - before for weight, before in pairs])
        return (update / get_total_norm(self._before)).item()
