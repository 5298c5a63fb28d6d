"""H1 and H2: NAR transformers that separate in the feature spaces. Paper: Sec. III-C, III-D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hsm.features import PATCH_BANDS
from hsm.networks.audiomae import positions
from hsm.networks.layers import TransformerBlock


@dataclass(frozen=True)
class SeparatorConfig:
    """A NAR transformer, of H1 or of H2. Paper: Sec. III-C, III-D, IV-C."""

    width: int = 256
    layers: int = 6
    heads: int = 4


class TextCondition(NamedTuple):
    """[T_cap, T_task] before projection.

    Args:
        caption: T_cap (B, L, D) from Q-Audio's text branch.
        mask: (B, L) True where a token stands.
        task: T_task (B, W) vocabulary embedding of the task's word.
    """

    caption: Tensor
    mask: Tensor
    task: Tensor

    def silenced(self) -> TextCondition:
        """Without the caption."""
        return self._replace(mask=torch.zeros_like(self.mask))

    def expand(self, size: int) -> TextCondition:
        """One condition (B = 1) for several examples."""
        return TextCondition(*(part.expand(size, *part.shape[1:]) for part in self))


class _Separator(nn.Module):
    """What both share: projections of the condition and a stack of blocks."""

    def __init__(self, config: SeparatorConfig, feature_width: int, text_width: int) -> None:
        super().__init__()
        width = config.width
        self.width = width
        self.global_in = nn.Linear(feature_width, width)
        self.caption_in = nn.Linear(feature_width, width)
        self.task_in = nn.Linear(text_width, width)
        self.kind = nn.Parameter(nn.init.normal_(torch.empty(4, width), std=0.02))  # global, caption, task, local
        self.blocks = nn.ModuleList(TransformerBlock(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)

    def _condition(self, global_feature: Tensor, text: TextCondition) -> Tensor:
        return torch.cat(
            [
                self.global_in(global_feature).unsqueeze(1) + self.kind[0],
                self.caption_in(text.caption) + self.kind[1],
                self.task_in(text.task).unsqueeze(1) + self.kind[2],
            ],
            1,
        )  # (B, 1 + L + 1, C)

    @staticmethod
    def _mask(text: TextCondition, patches: int) -> Tensor:
        one = torch.ones_like(text.mask[:, :1])
        return torch.cat([one, text.mask, one, one.expand(-1, patches)], 1)[:, None, None, :]  # (B, 1, 1, N)


def _change(width: int, feature_width: int) -> nn.Linear:
    """A head that predicts the change from the mixture's feature to the target's; none at first."""
    head = nn.Linear(width, feature_width)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


class GlobalSeparator(_Separator):
    """H1: [G_mix, T_cap, T_task] to Ĝ, as a change of G_mix."""

    def __init__(self, config: SeparatorConfig, feature_width: int, text_width: int) -> None:
        super().__init__(config, feature_width, text_width)
        self.global_out = _change(config.width, feature_width)

    def forward(self, global_mixture: Tensor, text: TextCondition) -> Tensor:
        """Predict the target's global feature.

        Args:
            global_mixture: G_mix (B, D).
            text: the condition.

        Returns:
            Ĝ (B, D).
        """
        x = self._condition(global_mixture, text)
        mask = self._mask(text, 0)
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = global_mixture + self.global_out(self.norm(x[:, 0]))
        return out


class LocalSeparation(NamedTuple):
    """What H2 returns.

    Args:
        local: Ŝ (B, P, D).
        share: (B, P) log-odds of the target's share of each patch's energy: the last layer's attention scores.
        layers: (B, layers, heads, P), attention from the global token to the patches, normalised over
            the patches; of every layer where asked for, else of the last one alone.
    """

    local: Tensor
    share: Tensor
    layers: Tensor

    @property
    def attention(self) -> Tensor:
        """(B, heads, P), the last layer's. Paper: Fig. 6."""
        return self.layers[:, -1]


class LocalSeparator(_Separator):
    """H2: [Ĝ, T_cap, T_task] and S_mix to Ŝ.

    Departure: the paper trains the last layer's attention through Ŝ alone, but nothing reads what that layer writes
    into the global token. Here its scores are the target's share of every patch and decide how much of S_mix passes:

        Ŝ = nothing + share * (S_mix - nothing) + change
    """

    def __init__(self, config: SeparatorConfig, feature_width: int, text_width: int) -> None:
        super().__init__(config, feature_width, text_width)
        self.local_in = nn.Linear(feature_width, config.width)
        self.local_out = _change(config.width, feature_width)
        self.nothing = nn.Parameter(torch.zeros(feature_width))  # S where the target has no share
        self.share_scale, self.share_bias = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def forward(
        self,
        local_mixture: Tensor,
        global_target: Tensor,
        text: TextCondition,
        first_column: int = 0,
        every_layer: bool = False,
    ) -> LocalSeparation:
        """Predict the target's local features.

        Args:
            local_mixture: S_mix (B, P, D).
            global_target: Ĝ (B, D), or G of the target in training.
            text: the condition.
            first_column: as in `AudioMAE.masked`.
            every_layer: whether to give the attention of every layer rather than the last one's.

        Returns:
            Ŝ and the global token's attention.
        """
        patches = local_mixture.shape[1]
        columns = first_column + torch.arange(patches // PATCH_BANDS, device=local_mixture.device)
        local = self.local_in(local_mixture) + self.kind[3] + positions(columns, self.width)
        x = torch.cat([self._condition(global_target, text), local], 1)  # (B, N, C)
        mask = self._mask(text, patches)
        layers = []
        blocks: list[TransformerBlock] = list(self.blocks)  # type: ignore[arg-type]
        for block in blocks:
            if every_layer or block is blocks[-1]:
                scores = block.attention.scores(block.attention_norm(x), slice(0, 1), mask)[:, :, 0, -patches:].float()
                layers.append(scores.softmax(-1))  # (B, heads, P)
            x = block(x, mask)
        share = scores.mean(1) * self.share_scale + self.share_bias  # (B, P)
        passed = share.sigmoid().unsqueeze(-1) * (local_mixture - self.nothing)
        return LocalSeparation(
            local=self.nothing + passed + self.local_out(self.norm(x)[:, -patches:]),
            share=share,
            layers=torch.stack(layers, 1),
        )
