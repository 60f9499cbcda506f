"""The frozen model with θp and θs around it: everything that reads a question or an answer goes through here."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from aspire_llm.lm.adapters import Adapter, NoAdapter
from aspire_llm.lm.cache import BranchCache, Branches, TokenGrid, TokenTree, new_cache
from aspire_llm.lm.kept_prefixes import KeptPrefixes, Prefix, num_shared
from aspire_llm.lm.masks import ends
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.prompt_states import prompt_states, watched_layer
from aspire_llm.lm.tokenization import EncodedPrompt


class AdaptedModel:
    """`[θp] [x] [ŷ] [θs] → verdict` over a frozen backbone (DESIGN: order of the sequence; paper §4).

    Args:
        backbone: The frozen model.
        task: θp, or None for the base model.
        self_evaluation: θs, where verdicts are asked for.
        also_ends: A token that ends an answer as well as the backbone's terminator does; None for none.
    """

    def __init__(
        self,
        backbone: Backbone,
        task: Adapter | None = None,
        self_evaluation: Adapter | None = None,
        *,
        also_ends: int | None = None,
    ) -> None:
        self.backbone = backbone
        self._also_ends = also_ends
        self.task: Adapter = task or NoAdapter(backbone)
        self.self_evaluation: Adapter = self_evaluation or NoAdapter(backbone)
        self._examples = KeptPrefixes(backbone, sys.maxsize)  # few-shot ones: all prompts of a run begin so

    @property
    def terminators(self) -> tuple[int, ...]:
        """Tokens that end an answer: the backbone's, and another one where there is one."""
        own = self.backbone.eos_token_id
        return (own,) if self._also_ends in (None, own) else (own, self._also_ends)

    def read(
        self, prompts: Sequence[EncodedPrompt], *, room: int = 64
    ) -> tuple[BranchCache, Branches, Float[Tensor, "batch vocab"]]:
        """Read `[θp] [x]` of B questions once; what all of them begin with (examples, a shared context) once for all.

        Once θp is frozen, the few-shot examples are read once for all batches.

        Args:
            prompts: The questions.
            room: Slots to allocate beyond the prompts.

        Returns:
            The cache, one branch per question, and the float32 logits of the first answer token `[B, V]`.
        """
        return self._read(prompts, room, with_logits=True)

    def read_answers(self, prompts: Sequence[EncodedPrompt], answers: TokenGrid) -> Prefix:
        """Read `[θp] [x]` once and every given answer on top as a branch, without gradient.

        Args:
            prompts: B questions.
            answers: Token ids of the answers to each.

        Returns:
            The cache and n branches per question, n the most answers of any; those beyond a question's own are empty.
        """
        room = max(sum(map(len, own)) for own in answers)
        cache, branches, _ = self._read(prompts, room, with_logits=False)
        return cache, self.extend_by_tokens(cache, branches, answers)

    def _read(
        self, prompts: Sequence[EncodedPrompt], room: int, *, with_logits: bool
    ) -> tuple[BranchCache, Branches, Tensor]:
        token_ids = [prompt.token_ids for prompt in prompts]
        shared = num_shared(prompts) if self.backbone.shares_prefixes else 0
        with self._watched(with_logits) as outputs, torch.no_grad():
            if shared:
                rest, valid = self.token_grid([[ids[shared:]] for ids in token_ids])
                cache, root = self._read_shared(prompts, shared, valid.shape[-1] + room)
                embeddings = self.backbone.embed(rest)
            else:
                embeddings, valid = self.embed_sequences(token_ids)
                cache = new_cache(self.backbone, len(prompts), valid.shape[-1] + room)
                root = cache.root()
            with self.task.active():
                logits, branches = cache.extend(root, embeddings, valid, ends(valid) if with_logits else None)
        cache.prompts_end()
        if outputs and outputs[-1].ndim == 3:  # some models (Gemma 3n) carry several streams through their layers
            cache.prompt_states = prompt_states(prompts, shared, outputs[:-1], cache.by_branch(outputs[-1], root)[:, 0])
        return cache, branches, logits

    def _watched(self, wanted: bool) -> AbstractContextManager[list[Tensor]]:
        """What the layer that prompts are known by gives in the passes within."""
        return self.backbone.layer_outputs(only=[watched_layer(self.backbone)]) if wanted else nullcontext([])

    def _read_shared(self, prompts: Sequence[EncodedPrompt], length: int, room: int) -> Prefix:
        """`[θp]` and the first tokens of the first prompt, as the prompt so far of all of them."""
        tokens = prompts[0].token_ids[:length]
        read = partial(self._read_alone, tokens)
        learns = any(parameter.requires_grad for parameter in self.task.parameters())
        lasts = length == prompts[0].num_example_tokens and not learns
        cache, root = self._examples.once(tokens, read) if lasts else read()
        everyone = torch.zeros(len(prompts), dtype=torch.long, device=self.backbone.device)
        return cache.select(everyone, room), root.of_questions(everyone)

    def _read_alone(self, tokens: Sequence[int]) -> Prefix:
        embeddings, valid = self.embed_sequences([tokens])
        cache = new_cache(self.backbone, 1, valid.shape[-1])
        with self.task.active(), torch.no_grad():
            _, root = cache.extend(cache.root(), embeddings, valid, None)
        return cache, root

    def embed_sequences(
        self, token_ids: Sequence[Sequence[int]]
    ) -> tuple[Float[Tensor, "batch 1 length dim"], Bool[Tensor, "batch 1 length"]]:
        """Embed `[θp] [tokens] [padding]`.

        Args:
            token_ids: Of B sequences.

        Returns:
            The embeddings, in which θp keeps its gradient, and whether each is of a token.
        """
        tokens, valid = self.token_grid([[ids] for ids in token_ids])
        soft = self.task.soft_tokens().to(self.backbone.dtype)
        embedded = torch.cat([soft.expand(len(token_ids), 1, -1, -1), self.backbone.embed(tokens)], dim=2)
        return embedded, torch.nn.functional.pad(valid, (soft.shape[0], 0), value=True)

    def step(
        self, cache: BranchCache, branches: Branches, tokens: Int[Tensor, "batch branches"]
    ) -> tuple[Float[Tensor, "batch branches vocab"], Branches]:
        """Read one token on every branch; no gradient.

        Args:
            cache: Holds the branches.
            branches: n per question.
            tokens: Their next tokens.

        Returns:
            float32 logits of the tokens after those, and the branches after those.
        """
        valid = torch.ones_like(tokens, dtype=torch.bool)[..., None]
        with self.task.active(), torch.no_grad(), self.backbone.decoding(branches.positions):
            logits, branches = cache.extend(branches, self.backbone.embed(tokens)[:, :, None], valid, logits_at=valid)
        return logits.view(*tokens.shape, -1), branches

    def extend_by_tokens(self, cache: BranchCache, branches: Branches, tokens: TokenGrid) -> Branches:
        """Read n token sequences on top of one branch per question, without gradient.

        Args:
            cache: Holds the branches.
            branches: One per question.
            tokens: By question and sequence; a question with fewer than n has empty ones.

        Returns:
            n branches per question.
        """
        tree = TokenTree.of(tokens, self.backbone.eos_token_id, self.backbone.device)
        with self.task.active(), torch.no_grad():
            return cache.extend_by_tree(branches, self.backbone.embed(tree.token_ids), tree)

    def verdict_logits(
        self, cache: BranchCache, branches: Branches, unread: Sequence[Sequence[int]] | None = None
    ) -> Float[Tensor, "batch branches vocab"]:
        """Logits of the verdict after θs on every branch; differentiable with respect to θs alone.

        The cache of a model that shares no prefixes reads the whole branch again, all of it under a θs that is LoRA.

        Args:
            cache: Holds the branches.
            branches: n per question.
            unread: Tokens of the answers that the branches have not read, where there is one branch per question.
                They take no pass of their own, unless θs changes how they would be read.
        """
        batch, n = branches.positions.shape
        if unread is not None and self.self_evaluation.changes_weights:
            branches, unread = self.extend_by_tokens(cache, branches, [[ids] for ids in unread]), None
        with self.task.active(), self.self_evaluation.active():
            soft = self.self_evaluation.soft_tokens().expand(batch, n, -1, -1)
            valid = torch.ones(soft.shape[:-1], dtype=torch.bool, device=soft.device)
            if unread is not None:
                tokens, known = self.token_grid([[ids] for ids in unread])
                valid = torch.cat([known, valid], dim=-1)
                order = valid.to(torch.int8).argsort(dim=-1, descending=True, stable=True)  # padding to the end
                both = torch.cat([self.backbone.embed(tokens).to(soft.dtype), soft], dim=2)
                soft = both.gather(2, order[..., None].expand_as(both))
                valid = valid.gather(2, order)
            return cache.look_ahead(branches, soft, valid, ends(valid)).view(batch, n, -1)

    def token_grid(
        self, tokens: TokenGrid
    ) -> tuple[Int[Tensor, "batch branches length"], Bool[Tensor, "batch branches length"]]:
        """Ragged token ids as a grid, with whether each is a token; pads, right of the tokens, hold the terminator."""
        n = max(len(branches) for branches in tokens)
        length = max((len(ids) for branches in tokens for ids in branches), default=0)
        grid = torch.full((len(tokens), n, length), self.backbone.eos_token_id)
        valid = torch.zeros_like(grid, dtype=torch.bool)
        for i, branches in enumerate(tokens):
            for j, ids in enumerate(branches):
                grid[i, j, : len(ids)] = torch.as_tensor(ids, dtype=torch.long)
                valid[i, j, : len(ids)] = True
        return grid.to(self.backbone.device), valid.to(self.backbone.device)
