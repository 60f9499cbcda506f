"""The frozen model with θp and θs around it: everything that reads a question or an answer goes through here."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aspire_llm.lm.adapters import Adapter, NoAdapter
from aspire_llm.lm.backbone import Backbone
from aspire_llm.lm.prefix_cache import Branches, PrefixCache
from aspire_llm.lm.tokenization import EncodedPrompt

TokenGrid = Sequence[Sequence[Sequence[int]]]  # question → branch → token ids


class AdaptedModel:
    """`[padding] [θp] [x] [ŷ] [θs] → verdict` over a frozen backbone (DESIGN: order of the sequence; paper §4).

    Args:
        backbone: The frozen model.
        task: θp, or None for the base model.
        self_evaluation: θs, where verdicts are asked for.
    """

    def __init__(self, backbone: Backbone, task: Adapter | None = None, self_evaluation: Adapter | None = None) -> None:
        self.backbone = backbone
        self.task: Adapter = task or NoAdapter(backbone)
        self.self_evaluation: Adapter = self_evaluation or NoAdapter(backbone)

    def read(self, prompts: Sequence[EncodedPrompt], *, room: int = 64) -> tuple[PrefixCache, Branches, Tensor]:
        """Read `[θp] [x]` of B questions once, left-padded.

        Args:
            prompts: The questions.
            room: Slots to allocate beyond the prompts.

        Returns:
            The cache, one branch a question, and the float32 logits of the first answer token `[B, V]`.
        """
        embeddings, valid = self.embed_prompts(prompts)
        cache = PrefixCache(self.backbone, len(prompts), valid.shape[-1] + room)
        last = torch.zeros_like(valid)
        last[..., -1] = True
        with self.task.active(), torch.no_grad():
            logits, branches = cache.extend(cache.root(), embeddings, valid, last)
        return cache, branches, logits

    def embed_prompts(self, prompts: Sequence[EncodedPrompt]) -> tuple[Tensor, Tensor]:
        """`[padding] [θp] [x]` as embeddings `[B, 1, T, d]` and their validity `[B, 1, T]`; θp keeps its gradient."""
        token_ids, valid = self.token_grid([[prompt.token_ids] for prompt in prompts], pad_left=True)
        soft = self.task.soft_tokens().to(self.backbone.dtype)
        embedded = self.backbone.embed(token_ids)[:, 0]  # [B, T, d]
        embedded = torch.cat([soft.expand(len(prompts), -1, -1), embedded], dim=1)
        valid = torch.nn.functional.pad(valid[:, 0], (soft.shape[0], 0), value=True)
        # θp stands right before its question: rows with padding are rolled until the pads lead.
        pads = (~valid).sum(-1, keepdim=True)
        index = torch.arange(valid.shape[-1], device=valid.device)
        order = torch.where(index < pads, index + soft.shape[0], index - pads)
        order = torch.where(index >= pads + soft.shape[0], index, order)
        embedded = embedded.gather(1, order[..., None].expand_as(embedded))
        return embedded[:, None], (index >= pads)[:, None]

    def step(self, cache: PrefixCache, branches: Branches, tokens: Tensor) -> tuple[Tensor, Branches]:
        """Read one token `[B, n]` on every branch; next-token logits `[B, n, V]` and the branches after it."""
        valid = torch.ones_like(tokens, dtype=torch.bool)[..., None]
        with self.task.active(), torch.no_grad():
            logits, branches = cache.extend(branches, self.backbone.embed(tokens)[:, :, None], valid, logits_at=valid)
        return logits.view(*tokens.shape, -1), branches

    def extend_by_tokens(self, cache: PrefixCache, branches: Branches, tokens: TokenGrid) -> Branches:
        """Read token ids on top of n branches a question; a question with fewer than n has empty ones."""
        token_ids, valid = self.token_grid(tokens)
        if token_ids.shape[-1] == 0:
            return branches
        with self.task.active(), torch.no_grad():
            embedded = self.backbone.embed(token_ids)
            return cache.extend(branches, embedded, valid, logits_at=torch.zeros_like(valid))[1]

    def verdict_logits(self, cache: PrefixCache, branches: Branches) -> Tensor:
        """Logits of the verdict after θs on every branch, `[B, n, V]`; differentiable with respect to θs alone."""
        batch, n = branches.positions.shape
        with self.task.active(), self.self_evaluation.active():
            soft = self.self_evaluation.soft_tokens()
            valid = torch.ones(batch, n, soft.shape[0], dtype=torch.bool, device=self.backbone.device)
            last = torch.zeros_like(valid)
            last[..., -1] = True
            return cache.look_ahead(branches, soft.expand(batch, n, -1, -1), valid, last).view(batch, n, -1)

    def token_grid(self, tokens: TokenGrid, *, pad_left: bool = False) -> tuple[Tensor, Tensor]:
        """Ragged token ids as `[B, n, A]` with their validity; pads hold the terminator."""
        n = max(len(branches) for branches in tokens)
        length = max((len(ids) for branches in tokens for ids in branches), default=0)
        grid = torch.full((len(tokens), n, length), self.backbone.eos_token_id)
        valid = torch.zeros_like(grid, dtype=torch.bool)
        for i, branches in enumerate(tokens):
            for j, ids in enumerate(branches):
                where = slice(length - len(ids), length) if pad_left else slice(len(ids))
                grid[i, j, where] = torch.as_tensor(ids, dtype=torch.long)
                valid[i, j, where] = True
        return grid.to(self.backbone.device), valid.to(self.backbone.device)
