"""H1 and H2: what they listen to, and an attention that is what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hsm.config import TINY
from hsm.networks.separators import GlobalSeparator, LocalSeparator, TextCondition

D, W, P, L = 32, 32, 24, 5
Answer = Callable[[TextCondition], list[Tensor]]


def awake(module: nn.Module) -> nn.Module:
    """Draws also what is zero at first, so that every path reaches the output."""
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return module.eval()


@pytest.fixture(scope="module")
def h1() -> GlobalSeparator:
    torch.manual_seed(0)
    return awake(GlobalSeparator(TINY.global_separator, D, W))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def h2() -> LocalSeparator:
    torch.manual_seed(1)
    return awake(LocalSeparator(TINY.local_separator, D, W))  # type: ignore[return-value]


@pytest.fixture(params=["H1", "H2"])
def answer(request: pytest.FixtureRequest, h1: GlobalSeparator, h2: LocalSeparator) -> Answer:
    """Either separator as a function of the condition."""
    torch.manual_seed(2)
    whole, local = torch.randn(2, D), torch.randn(2, P, D)

    def ask(text: TextCondition) -> list[Tensor]:
        with torch.no_grad():
            if request.param == "H1":
                return [h1(whole, text)]
            return list(h2(local, whole, text))

    return ask


def condition(seed: int = 3) -> TextCondition:
    draw = torch.Generator().manual_seed(seed)
    caption, task = torch.randn(2, L, D, generator=draw), torch.randn(2, W, generator=draw)
    return TextCondition(caption, torch.ones(2, L, dtype=torch.bool), task)


def same(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, two, strict=True))


def test_padding_in_the_caption_leaves_the_result_unchanged(answer: Answer) -> None:
    text = condition()
    padded = TextCondition(
        torch.cat([text.caption, torch.full((2, 3, D), 40.0)], 1),
        torch.cat([text.mask, torch.zeros(2, 3, dtype=torch.bool)], 1),
        text.task,
    )
    assert same(answer(text), answer(padded))


def test_task_and_words_change_the_result(answer: Answer) -> None:
    text, other = condition(), condition(seed=4)
    assert not same(answer(text), answer(text._replace(task=other.task)))
    assert not same(answer(text), answer(text._replace(caption=other.caption)))


def test_examples_of_a_batch_do_not_see_each_other(answer: Answer) -> None:
    text = condition()
    changed = text.caption.clone()
    changed[1] += 1
    for one, two in zip(answer(text), answer(text._replace(caption=changed)), strict=True):
        assert torch.allclose(one[0], two[0], atol=1e-5)
        assert not torch.allclose(one[1], two[1], atol=1e-4)


def test_untrained_separators_answer_with_the_mixture_where_its_share_is_all() -> None:
    torch.manual_seed(5)
    whole, local, text = torch.randn(2, D), torch.randn(2, P, D), condition()
    assert torch.equal(GlobalSeparator(TINY.global_separator, D, W)(whole, text), whole)
    h2 = LocalSeparator(TINY.local_separator, D, W)
    nn.init.constant_(h2.share_bias, 50.0)
    assert torch.allclose(h2(local, whole, text).local, local, atol=1e-6)
    nn.init.constant_(h2.share_bias, -50.0)
    assert torch.allclose(h2(local, whole, text).local, h2.nothing.expand_as(local), atol=1e-6), "and nothing passes"


def test_the_shares_are_what_the_last_layer_attends_to(h2: LocalSeparator) -> None:
    torch.manual_seed(6)
    found = h2(torch.randn(2, P, D), torch.randn(2, D), condition())
    attended = found.attention.log().mean(1)  # (B, P), of all heads
    attended, share = (x - x.mean(1, keepdim=True) for x in (attended, found.share))
    assert torch.allclose(share, h2.share_scale * attended, atol=1e-4)


def test_h2_listens_to_the_global_feature(h2: LocalSeparator) -> None:
    local, text = torch.randn(2, P, D), condition()
    one, two = (h2(local, torch.randn(2, D), text) for _ in range(2))
    assert not torch.allclose(one.local, two.local, atol=1e-3)
    assert not torch.allclose(one.attention, two.attention, rtol=1e-3, atol=0)


@pytest.mark.parametrize("patches", [8, 24, 512])
def test_h2s_attention_is_a_distribution_over_the_patches(h2: LocalSeparator, patches: int) -> None:
    found = h2(torch.randn(2, patches, D), torch.randn(2, D), condition())
    assert found.local.shape == (2, patches, D)
    assert found.attention.shape == (2, TINY.local_separator.heads, patches)
    assert found.attention.min() >= 0
    assert torch.allclose(found.attention.sum(-1), torch.ones(2, 2))


def test_h2s_attention_is_the_last_layers_softmax_at_the_global_token(h2: LocalSeparator) -> None:
    given: list[Tensor] = []
    last = h2.blocks[-1]
    hook = last.register_forward_pre_hook(lambda module, inputs: given.extend(inputs[:1]))
    text = condition()
    text.mask[0, 3:] = False
    found = h2(torch.randn(2, P, D), torch.randn(2, D), text).attention
    hook.remove()
    x = last.attention_norm(given[0])  # type: ignore[operator]  # (B, 1 + L + 1 + P, C)
    assert x.shape[1] == 1 + L + 1 + P
    attention = last.attention
    for head in range(2):
        part = slice(16 * head, 16 * head + 16)
        q = attention.query(x[:, 0])[:, part]  # type: ignore[union-attr,operator]
        k = attention.key(x)[..., part]  # type: ignore[union-attr,operator]
        scores = torch.einsum("bd,bnd->bn", q, k) / 4  # root of 16
        over_patches = scores[:, -P:].softmax(-1)  # a softmax over all, renormalised, is one over the patches
        assert torch.allclose(found[:, head], over_patches, atol=1e-5)
