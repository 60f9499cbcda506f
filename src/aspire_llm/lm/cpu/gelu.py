"""GPT-2's GELU as one operation.

transformers writes it as eight passes over the widest tensors of the model, and keeps several for the backward pass;
torch has the same function as one, which keeps its input.
"""

from jaxtyping import Float
from torch import Tensor, nn

from aspire_llm.lm.upstream import FastGELUActivation, NewGELUActivation


class FusedGELU(nn.Module):
    """0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))) (Hendrycks and Gimpel 2016)."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The function of every number."""
        return nn.functional.gelu(x, approximate="tanh")


def fuse_gelu(model: nn.Module) -> None:
    """Exchange it in place, wherever a model has it."""
    for module in model.modules():
        if type(module) in (NewGELUActivation, FastGELUActivation):
            module.__class__ = FusedGELU
