"""The frozen model with θp and θs around it: everything that reads a question or an answer goes through here."""

from collections.abc import Sequence

import torch
from torch import Tensor

from aspire_llm.lm.adapters import Adapter, NoAdapter
from aspire_llm.lm.backbone import Backbone
from aspire_llm.lm.expanded_cache import new_cache
from aspire_llm.lm.prefix_cache import Branches, PrefixCache
from aspire_llm.lm.tokenization import EncodedPrompt

_WORTH_SHARING = 32  # tokens that all prompts of a batch begin with

TokenGrid = Sequence[Sequence[Sequence[int]]]  # question → branch → token ids


class AdaptedModel:
    """`[θp] [x] [ŷ] [θs] → verdict` over a frozen backbone (DESIGN: order of the sequence; paper §4).

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
        """Read `[θp] [x]` of B questions once; what all of them begin with (examples, a shared context) once for all.

        Args:
            prompts: The questions.
            room: Slots to allocate beyond the prompts.

        Returns:
            The cache, one branch a question, and the float32 logits of the first answer token `[B, V]`.
        """
        token_ids = [prompt.token_ids for prompt in prompts]
        shared = _common_beginning(token_ids) if self.backbone.shares_prefixes else 0
        if shared < _WORTH_SHARING:
            embeddings, valid = self.embed_sequences(token_ids)
            cache = new_cache(self.backbone, len(prompts), valid.shape[-1] + room)
            root = cache.root()
        else:
            cache, root = self._read_once(token_ids[0][:shared], len(prompts))
            rest, valid = self.token_grid([[ids[shared:]] for ids in token_ids])
            embeddings = self.backbone.embed(rest)
        last = (valid.cumsum(-1) == valid.sum(-1, keepdim=True)) & valid
        with self.task.active(), torch.no_grad():
            logits, branches = cache.extend(root, embeddings, valid, last)
        cache.prompts_end()
        return cache, branches, logits

    def _read_once(self, beginning: Sequence[int], copies: int) -> tuple[PrefixCache, Branches]:
        """Read `[θp] [beginning]`, and copy its keys and values for as many questions as begin so."""
        embeddings, valid = self.embed_sequences([beginning])
        cache = PrefixCache(self.backbone, 1, valid.shape[-1])
        with self.task.active(), torch.no_grad():
            _, root = cache.extend(cache.root(), embeddings, valid, torch.zeros_like(valid))
        everyone = torch.zeros(copies, dtype=torch.long, device=valid.device)
        return cache.select(everyone), root.of_questions(everyone)

    def embed_sequences(self, token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """`[θp] [tokens] [padding]` as embeddings `[B, 1, T, d]` and validity `[B, 1, T]`; θp keeps its gradient."""
        tokens, valid = self.token_grid([[ids] for ids in token_ids])
        soft = self.task.soft_tokens().to(self.backbone.dtype)
        embedded = torch.cat([soft.expand(len(token_ids), 1, -1, -1), self.backbone.embed(tokens)], dim=2)
        return embedded, torch.nn.functional.pad(valid, (soft.shape[0], 0), value=True)

    def step(self, cache: PrefixCache, branches: Branches, tokens: Tensor) -> tuple[Tensor, Branches]:
        """Read one token `[B, n]` on every branch; next-token logits `[B, n, V]` and the branches after it."""
        valid = torch.ones_like(tokens, dtype=torch.bool)[..., None]
        with self.task.active(), torch.no_grad():
            logits, branches = cache.extend(branches, self.backbone.embed(tokens)[:, :, None], valid, logits_at=valid)
        return logits.view(*tokens.shape, -1), branches

    def extend_by_tokens(self, cache: PrefixCache, branches: Branches, tokens: TokenGrid) -> Branches:
        """Read n lists of token ids a question on top of its one branch: n branches, the missing ones empty."""
        token_ids, valid = self.token_grid(tokens)
        branches = branches.select(torch.zeros(valid.shape[:2], dtype=torch.long, device=valid.device))
        if token_ids.shape[-1] == 0:
            return branches
        with self.task.active(), torch.no_grad():
            embedded = self.backbone.embed(token_ids)
            return cache.extend(branches, embedded, valid, logits_at=torch.zeros_like(valid))[1]

    def verdict_logits(self, cache: PrefixCache, branches: Branches) -> Tensor:
        """Logits of the verdict after θs on every branch, `[B, n, V]`; differentiable with respect to θs.

        A cache of a model that shares no prefixes reads the whole branch again, all of it under a θs that is LoRA.
        """
        batch, n = branches.positions.shape
        with self.task.active(), self.self_evaluation.active():
            soft = self.self_evaluation.soft_tokens()
            valid = torch.ones(batch, n, soft.shape[0], dtype=torch.bool, device=self.backbone.device)
            last = torch.zeros_like(valid)
            last[..., -1] = True
            return cache.look_ahead(branches, soft.expand(batch, n, -1, -1), valid, last).view(batch, n, -1)

    def token_grid(self, tokens: TokenGrid) -> tuple[Tensor, Tensor]:
        """Ragged token ids as `[B, n, A]` with their validity; pads hold the terminator."""
        n = max(len(branches) for branches in tokens)
        length = max((len(ids) for branches in tokens for ids in branches), default=0)
        grid = torch.full((len(tokens), n, length), self.backbone.eos_token_id)
        valid = torch.zeros_like(grid, dtype=torch.bool)
        for i, branches in enumerate(tokens):
            for j, ids in enumerate(branches):
                grid[i, j, : len(ids)] = torch.as_tensor(ids, dtype=torch.long)
                valid[i, j, : len(ids)] = True
        return grid.to(self.backbone.device), valid.to(self.backbone.device)


def _common_beginning(token_ids: Sequence[Sequence[int]]) -> int:
    """How many first tokens all sequences share, one at the end of each set aside; 0 for a single sequence."""
    if len(token_ids) < 2:
        return 0
    least = min(len(ids) for ids in token_ids) - 1
    return next((i for i in range(least) if len({ids[i] for ids in token_ids}) > 1), max(0, least))
