"""The paper's Fig. 2 as code: tensors in, tensors out. Paper: Sec. III.

waves ──encode──> S_mix, G_mix ──┐
words ──encode_query──> T_cap ───┴─forward──> H1: Ĝ ──> H2: Ŝ ──> H3: the target's mask
                                                              └──generate──> H3: the paper's, a sound drawn anew
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from hsm.codecs import TransformersCodec
from hsm.config import Config
from hsm.features import CODEC_DELAY, CODEC_FRAMES_PER_COLUMN, PATCH_BANDS, log_mel, stft
from hsm.networks.audiomae import AudioMAE
from hsm.networks.codec import Codec
from hsm.networks.decoder import AcousticDecoder, Sampling
from hsm.networks.instruction_net import InstructionNet
from hsm.networks.mask_decoder import Guidance, MaskDecoder
from hsm.networks.q_audio import QAudio
from hsm.networks.separators import GlobalSeparator, LocalSeparator, TextCondition
from hsm.networks.sound_encoder import SoundEncoder, SoundFeatures
from hsm.networks.tagger import ALIKE, Tagger
from hsm.precision import Precision, to_bfloat16
from hsm.records import OPERATIONS, Operation
from hsm.text import TextEncoder

SMOOTHING = 0.5  # share of the window before in a window's Ĝ, so that the target does not flip on the way
REPORT_FRAMES = 25  # codec frames drawn between two reports

# A competitor is the strongest other sound of a mixture: asked for too, it tells what is not the described one.
CANDIDATES = 4
EXCERPT_FRAMES = 96  # 3 s, on which the candidates are compared
FAINT, CLEAR = 0.02, 0.10  # share of the energy: below the first the described sound is not there, nothing is asked
COMPETITOR_WEIGHT = 0.5  # of its log-odds, where both answers together explain the whole mixture
PEAK_FRAMES = 9  # 0.3 s
SPEECH, SPEECH_WEIGHT = "speech", 0.8  # of "all but speech" in an answer to "noise", where speech is sure
CLAIMED = 0.1  # share of the energy that it must claim of what the mask leaves, to count in full
HEARD = 0.05  # weight from which a competitor is told to the user
UNEXPLAINED = 0.25  # share of the energy in neither answer at which it no longer counts: a third sound is there

Stage = Callable[[str], AbstractContextManager[Any]]

_MAKERS: dict[str, Callable[[Config], nn.Module]] = {
    "sound_encoder": lambda c: SoundEncoder(c.sound_encoder),
    "audiomae": lambda c: AudioMAE(c.audiomae, c.sound_encoder.widths[1]),
    "q_audio": lambda c: QAudio(c.q_audio, c.audiomae.width, c.text.width),
    "global_separator": lambda c: GlobalSeparator(c.global_separator, c.audiomae.width, c.text.width),
    "local_separator": lambda c: LocalSeparator(c.local_separator, c.audiomae.width, c.text.width),
    "mask": lambda c: MaskDecoder(c.mask, c.text.width, c.audiomae.width, c.sound_encoder.widths),
    "tagger": lambda c: Tagger(c.tagger, c.sound_encoder.widths[-1], c.text.width),
    "codec": lambda c: Codec(c.codec),
    "decoder": lambda c: AcousticDecoder(c.decoder, c.codec, c.audiomae.width),
    "instruction": lambda c: InstructionNet(c.text.width),
}
NETWORKS = tuple(_MAKERS)


def build_modules(config: Config, names: Collection[str] = NETWORKS) -> dict[str, nn.Module]:
    """Networks of a configuration by their name in a weight folder, with random weights; all of them unless named."""
    assert config.q_audio.width == config.audiomae.width, "H2 attends to G and S in one width"
    return {name: make(config) for name, make in _MAKERS.items() if name in names}


class WindowFeatures(NamedTuple):
    """What of a mixture's windows does not depend on the query."""

    frames: Tensor  # (B, T, C) the mask decoder's own view
    local: Tensor  # S_mix (B, P, D)
    global_: Tensor  # G_mix (B, D)
    energy: Tensor  # (B, T, F) sums to 1
    tags: Tensor  # (B, V) log-odds that the sounds of the tagger's vocabulary are there


class Query(NamedTuple):
    """An instruction as the networks take it."""

    text: TextCondition  # T_cap (1, L, D) and T_task (1, W)
    named_text: TextCondition  # the same with the task "extract": whose answer is the named sound
    sentence: Tensor  # (1, W) embedding of the whole description
    named: Tensor  # (N, W) of the description and of each sound in it
    task: Tensor  # (1,) 0 extract, 1 remove
    negative: Tensor  # (N, W) of other sounds that are there, as the user says; N may be 0
    noise: bool = False  # whether noise in general is meant: what is not speech, where there is speech


class Guide(NamedTuple):
    """What is known of the named sound besides words.

    Args:
        global_target: G (1, D) in the place of Ĝ.
        local_target: (B, P, D) in the place of Ŝ.
        global_mixture: G (1, D) of a stretch where the sound is heard, in the place of G_mix.
        wordless: whether the words are left out, so that `global_target` alone asks.
    """

    global_target: Tensor | None = None
    local_target: Tensor | None = None
    global_mixture: Tensor | None = None
    wordless: bool = False


WORDS = Guide()


class ModelOutput(NamedTuple):
    """What `Model.forward` returns."""

    masks: Tensor  # (B, T, F) the target's, in [0, 1]
    global_target: Tensor  # Ĝ (B, 2, D) of the target and of the named sound, which for "extract" are one
    local_target: Tensor  # Ŝ (B, P, D) of the named sound, or of the target where it is drawn
    attention: Tensor  # (B, layers, heads, P) of H2, from the named sound's global token
    cues: Tensor  # (B, PRESENCE_CUES) of whether the named sound is in the window
    competitors: list[str]  # B names of the sounds that were suppressed, "" for none


@dataclass
class Generation:
    """A sound that is drawn anew, window after window."""

    sampling: Sampling
    random: torch.Generator
    tokens: Any
    sound: Any


def smooth(fresh: Tensor, previous: Tensor | None) -> Tensor:
    """Ĝ (B, ...) of windows that follow each other, each with a share of the one before; previous (1, ...)."""
    smoothed = []
    for one in fresh:
        previous = one[None] if previous is None else SMOOTHING * previous + (1 - SMOOTHING) * one[None]
        smoothed.append(previous)
    return torch.cat(smoothed)


class Model:
    """The networks of a system on one device; frozen.

    Args:
        config: sizes.
        modules: by name, as `build_modules` makes them; those that `fetch` gives may come later.
        text: the frozen text encoder.
        device: where to compute.
        precision: of the networks' products; all that leaves them is float32.
        compiler: backend of `torch.compile`, none where empty.
        fetch: loads a network that `modules` lacks, by name, when it is first used.
    """

    def __init__(
        self,
        config: Config,
        modules: dict[str, nn.Module],
        text: TextEncoder,
        device: torch.device,
        precision: Precision = "float32",
        compiler: str = "",
        fetch: Callable[[str], nn.Module] | None = None,
    ) -> None:
        self.config, self.text, self.device, self.precision = config, text, device, precision
        self._compiler, self._fetch = compiler, fetch
        self._compiled: dict[Callable[..., Any], Callable[..., Any]] = {}
        self.modules: dict[str, nn.Module] = {}
        for name, module in modules.items():
            self._add(name, module)
        text.module.to(device)
        self.sound_encoder: SoundEncoder = modules["sound_encoder"]  # type: ignore[assignment]
        self.audiomae: AudioMAE = modules["audiomae"]  # type: ignore[assignment]
        self.q_audio: QAudio = modules["q_audio"]  # type: ignore[assignment]
        self.h1: GlobalSeparator = modules["global_separator"]  # type: ignore[assignment]
        self.h2: LocalSeparator = modules["local_separator"]  # type: ignore[assignment]
        self.mask_decoder: MaskDecoder = modules["mask"]  # type: ignore[assignment]
        self.tagger: Tagger = modules["tagger"]  # type: ignore[assignment]
        if precision == "bfloat16":  # the others, such as the parser's, compute outside `run`
            inside = (self.sound_encoder, self.audiomae, self.q_audio, self.h1, self.h2, self.mask_decoder)
            for network in inside:
                to_bfloat16(network)

    def _add(self, name: str, module: nn.Module) -> None:
        self.modules[name] = module.to(self.device).eval().requires_grad_(False)

    def network(self, name: str) -> Any:
        """A network, loaded at its first use where few ask for it; `HSMError` for a file that is damaged."""
        if name not in self.modules:
            assert self._fetch is not None, f"no {name} and no way to load it"
            self._add(name, self._fetch(name))
        return self.modules[name]

    @property
    def codec(self) -> Codec | TransformersCodec:
        """See `network`."""
        return self.network("codec")

    @property
    def decoder(self) -> AcousticDecoder:
        """See `network`."""
        return self.network("decoder")

    def run(self, network: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """What a network makes of its inputs, in the model's precision; float32."""
        with self._autocast():
            return self._ready(network)(*inputs).float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _ready(self, network: Callable[..., Any]) -> Callable[..., Any]:
        """The network, compiled where asked for, at its first use."""
        if not self._compiler:
            return network
        if network not in self._compiled:
            self._compiled[network] = torch.compile(network, backend=self._compiler)
        return self._compiled[network]

    def encode_local(self, waves: Tensor) -> tuple[Tensor, SoundFeatures]:
        """S (B, P, D) and the sound encoder's features of windows (B, S) at the working level."""
        mel = log_mel(waves)  # (B, T, M)
        with self._autocast():
            sound = self._ready(self.sound_encoder)(mel)
        sound = SoundFeatures(sound.tiles.float(), sound.wide.float())
        return self.run(self.audiomae, mel, sound.tiles), sound

    @torch.inference_mode()
    def encode(self, waves: Tensor, stage: Stage = nullcontext) -> WindowFeatures:
        """Features of windows (B, S) at 16 kHz and at the working level. Paper: Sec. III-B."""
        with stage("local features"):
            waves = waves.to(self.device)
            local, sound = self.encode_local(waves)  # (B, P, D)
            magnitude = stft(waves).abs()  # (B, T, F)
            frames = self.run(self.mask_decoder.encode, magnitude, sound)  # (B, T, C)
            energy = magnitude.square()
            energy /= energy.sum((1, 2), keepdim=True).clamp_min(1e-12)
            tags = self.tagger(sound.wide)[1]  # (B, V)
        with stage("global features"):
            global_ = self.run(self.q_audio.audio, local)  # (B, D)
        return WindowFeatures(frames, local, global_, energy, tags)

    @torch.inference_mode()
    def encode_query(
        self,
        operation: Operation,
        wordings: Sequence[str],
        sounds: Sequence[str] = (),
        negative: Sequence[str] = (),
        noise: bool = False,
    ) -> Query:
        """T_cap and T_task of a description, and the embeddings that the mask decoder takes. Paper: Sec. III-F.

        Args:
            operation: what is to be done.
            wordings: of the description, best first; the mask decoder hears their mean.
            sounds: single sounds of the description; nothing like them is taken for a competitor.
            negative: other sounds that are there.
            noise: see `Query`.
        """
        features = self.text.encode([wordings[0]])
        caption = self.run(self.q_audio.text, features)  # (1, L, D)
        sentences = self.sentences([*wordings, *sounds, *negative])
        named, others = sentences.tensor_split([len(wordings) + len(sounds)])
        sentence = nn.functional.normalize(named[: len(wordings)].mean(0, keepdim=True), dim=-1)  # (1, W)
        named_text = TextCondition(caption, features.mask, self.text.task("extract"))
        text = named_text._replace(task=self.text.task(operation))
        return Query(text, named_text, sentence, named, self._task(operation), others, noise)

    def sentences(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (N, W) of texts, unit length."""
        return self.text.encode(list(texts)).sentence()

    def opposite(self, query: Query) -> Query:
        """The same description, asked by the other operation."""
        operation = OPERATIONS[1 - int(query.task)]
        text = query.text._replace(task=self.text.task(operation))
        return query._replace(text=text, task=self._task(operation))

    def _task(self, operation: Operation) -> Tensor:
        return torch.tensor([OPERATIONS.index(operation)], device=self.device)  # (1,)

    @torch.inference_mode()
    def forward(
        self,
        mixture: WindowFeatures,
        query: Query,
        guide: Guide = WORDS,
        previous: Tensor | None = None,
        hierarchy: bool = True,
        suppress: bool = True,
        drawn: bool = False,
        stage: Stage = nullcontext,
    ) -> ModelOutput:
        """Windows that follow each other, through H1, H2 and the mask decoder.

        Departure: the mask decoder is guided to the *named* sound for both operations, so that words and guidance
        never contradict each other; Ĝ of what "remove" leaves is for the eye, Ŝ of it for the codec.

        Args:
            mixture: their features.
            query: what is asked of all of them.
            guide: what is known besides words.
            previous: Ĝ (1, 2, D) of the window before the first.
            hierarchy: whether Ĝ and Ŝ guide the mask decoder; else text alone does.
            suppress: whether the strongest other sound is asked for too and held against the named one.
            drawn: whether Ŝ shall be the target's, to be drawn anew, rather than the named sound's.
            stage: told of each stage's begin and end.
        """
        size = len(mixture.local)
        text, named = query.text.expand(size), query.named_text.expand(size)
        with stage("global separation"):  # H1, Sec. III-C
            heard = mixture.global_ if guide.global_mixture is None else guide.global_mixture.expand(size, -1)
            both = [self.run(self.h1, heard, one) for one in (text, named)[: 1 + int(query.task)]]
            whole = smooth(torch.stack([both[0], both[-1]], 1), previous)  # (B, 2, D) of the target, of the named sound
            if guide.global_target is not None:
                given = guide.global_target.expand(size, -1)
                whole = torch.stack([whole[:, 0] if int(query.task) else given, given], 1)
        with stage("local separation"), self._autocast():  # H2, Sec. III-D
            vector, words = (whole[:, 0], text) if drawn else (whole[:, 1], named)
            words = words.silenced() if guide.wordless else words
            found = self._ready(self.h2)(mixture.local, vector, words, every_layer=True)
        with stage("render"):  # H3
            local = found.local.float() if guide.local_target is None else guide.local_target  # (B, P, D)
            change = torch.zeros_like(local) if guide.wordless else local - mixture.local
            guidance = Guidance(whole[:, 1], change) if hierarchy else None
            sentence = query.sentence.expand(size, -1) * (not guide.wordless)
            logits = self.run(self.mask_decoder, mixture.frames, sentence, guidance)  # (B, T, F)
            if guidance is not None and guide.global_target is None and guide.local_target is None:
                # Ĝ and Ŝ may be wrong: the mean of the answers with and without them is better than either.
                logits = (logits + self._ask(mixture.frames, sentence)) / 2
            competitors = [""] * size
            if query.noise and SPEECH in self.tagger.names:
                logits = self._all_but_speech(logits, mixture)
            if len(query.negative):
                others = [self._ask(mixture.frames, one.expand(size, -1)) for one in query.negative]
                logits = self._against(logits, torch.stack(others).amax(0), mixture)
            elif suppress and not guide.wordless:
                logits, numbers = suppress_competitor(self._ask, self.tagger.vocabulary, mixture, query.named, logits)
                competitors = ["" if number < 0 else self.tagger.names[number] for number in numbers.tolist()]
            named_mask = logits.sigmoid()
            cues = self.tagger.presence_cues(mixture.tags, *shares(named_mask, mixture.energy), sentence[:1])
            masks = named_mask if query.task == 0 else 1 - named_mask
        return ModelOutput(masks, whole, local, found.layers, cues, competitors)

    def _ask(self, frames: Tensor, sentences: Tensor) -> Tensor:
        """Log-odds (N, T, F) of descriptions (N, W) in frames (N, T, C), text alone."""
        return self.run(self.mask_decoder, frames, sentences, None)

    def _against(self, logits: Tensor, other: Tensor, mixture: WindowFeatures) -> Tensor:
        weight = COMPETITOR_WEIGHT * _explained(logits.sigmoid(), other, mixture.energy)
        return held_against(logits, other, weight)

    def _all_but_speech(self, logits: Tensor, mixture: WindowFeatures) -> Tensor:
        """Noise in general is what is not speech, the surer the more speech is heard.

        Departure: "noise" names no sound, so the network cannot know it as it knows speech.
        """
        speech = self._ask(mixture.frames, self.sentences([SPEECH]).expand(len(logits), -1))
        heard = mixture.tags[:, self.tagger.names.index(SPEECH)].sigmoid()  # (B,)
        return held_against(logits, speech, SPEECH_WEIGHT * heard)

    def start_generation(self, seed: int, temperature: float, top_k: int) -> Generation:
        """Before the first window of a sound that is drawn anew; the same seed gives the same sound."""
        random = torch.Generator().manual_seed(seed)
        return Generation(Sampling(temperature, top_k), random, self.decoder.start(), self.codec.start_decoding())

    @torch.inference_mode()
    def generate(self, local: Tensor, ends: bool, state: Generation, stage: Stage = nullcontext) -> Tensor:
        """The sound (S,) of the next columns of Ŝ (columns, 8 * D), `ends`: they are the last. Paper: Sec. III-E."""
        patches = rearrange(local, "c (f d) -> 1 (c f) d", f=PATCH_BANDS).to(self.device)  # (1, P, D)
        frames = len(local) * CODEC_FRAMES_PER_COLUMN + CODEC_DELAY * ends
        condition = self.decoder.condition(patches)[:, :frames]  # (1, N, C)
        tokens: list[Tensor] = []
        for first in range(0, frames, REPORT_FRAMES):
            with stage("render"):
                part = condition[:, first : first + REPORT_FRAMES]
                tokens += self.decoder.generate(part, state.sampling, state.random, state.tokens)
        with stage("render"):
            return self.codec.decode_piece(torch.stack(tokens, 1), state.sound)[0].cpu()  # (S,)


def suppress_competitor(
    ask: Callable[[Tensor, Tensor], Tensor],
    vocabulary: Tensor,
    mixture: WindowFeatures,
    named: Tensor,
    logits: Tensor,
) -> tuple[Tensor, Tensor]:
    """Log-odds of the described sound, less a part of its strongest competitor's.

    It counts the less, the more of the mixture is neither: then a third sound is there. Nothing on the way is
    waited for by the host, but on a CPU, where windows without the described sound are left out.

    Args:
        ask: gives the log-odds (N, T, F) of descriptions (N, W) in frames (N, T, C), text alone.
        vocabulary: (V, W) sentence embeddings of the names that may be asked for.
        mixture: windows' features.
        named: (N, W) sentence embeddings of all that the instruction names; nothing like it is asked for.
        logits: (B, T, F) log-odds of the described sound's mask.

    Returns:
        (B, T, F), and (B,) which name of the vocabulary was asked for, -1 for none.
    """
    mask = logits.sigmoid()  # (B, T, F)
    share = (mask.square() * mixture.energy).sum((1, 2))  # (B,)
    clear = ((share - FAINT) / (CLEAR - FAINT)).clamp(0, 1)
    if logits.device.type == "cpu" and not clear.all():
        found, numbers = logits.clone(), torch.full((len(logits),), -1)
        some = clear.nonzero()[:, 0]
        if len(some):
            part = WindowFeatures(*(values[some] for values in mixture))
            found[some], numbers[some] = suppress_competitor(ask, vocabulary, part, named, logits[some])
        return found, numbers
    allowed = (vocabulary @ named.t() <= ALIKE).all(1)  # (V,)
    count = min(CANDIDATES, len(allowed))
    tags, names = mixture.tags.masked_fill(~allowed, -torch.inf).topk(count)  # (B, K)
    length = min(EXCERPT_FRAMES, mask.shape[1])
    rows = _most_doubtful(mask, mixture.energy, length)[:, None] + torch.arange(length, device=mask.device)  # (B, E)

    def excerpt(values: Tensor) -> Tensor:
        return values.gather(1, rows[:, :, None].expand(-1, -1, values.shape[2]))

    frames = excerpt(mixture.frames).repeat_interleave(count, 0)  # (B K, E, C)
    others = rearrange(ask(frames, vocabulary[names.flatten()]).sigmoid(), "(b k) e f -> b k e f", k=count)
    rest, energy = (1 - excerpt(mask))[:, None], excerpt(mixture.energy)[:, None]  # (B, 1, E, F)
    claims = ((others * rest).square() * energy).sum((2, 3)).masked_fill(tags == -torch.inf, -1)  # (B, K)
    strongest = names.gather(1, claims.argmax(1, keepdim=True))[:, 0]  # (B,)
    other = ask(mixture.frames, vocabulary[strongest])  # (B, T, F)
    claimed = ((other.sigmoid() * (1 - mask)).square() * mixture.energy).sum((1, 2))  # little where a sound is alone
    weight = COMPETITOR_WEIGHT * clear * allowed.any() * (claimed / CLAIMED).clamp_max(1)
    weight = weight * _explained(mask, other, mixture.energy)
    return held_against(logits, other, weight), torch.where(weight > HEARD, strongest, -1)


def _explained(mask: Tensor, other: Tensor, energy: Tensor) -> Tensor:
    """(B,): 1 where a mask (B, T, F) and another sound's log-odds explain all energy, 0 where a third sound is left."""
    neither = ((1 - mask - other.sigmoid()).clamp_min(0) * energy).sum((1, 2))
    return (1 - neither / UNEXPLAINED).clamp_min(0)


def held_against(logits: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """Log-odds (B, T, F), less another sound's: `weight` (B,) of both."""
    weight = weight[:, None, None]
    return (1 - weight) * logits - weight * other


def shares(mask: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the energy that a mask (B, T, F) gives to a sound: (B,) of all, and of the 0.3 s where it is largest."""
    by_frame = torch.stack([(mask.square() * energy).sum(2), energy.sum(2)], 1)  # (B, 2, T)
    near, all_near = nn.functional.avg_pool1d(by_frame, PEAK_FRAMES, 1, PEAK_FRAMES // 2).unbind(1)
    counted = all_near > 0.05 * all_near.amax(1, keepdim=True)
    return by_frame[:, 0].sum(1), (near / all_near.clamp_min(1e-12) * counted).amax(1)


def _most_doubtful(mask: Tensor, energy: Tensor, length: int) -> Tensor:
    """First frames (B,) of the excerpts of a length where most energy is in doubt."""
    doubt = (mask * (1 - mask) * energy).sum(2)  # (B, T)
    return doubt.unfold(1, length, 1).sum(2).argmax(1)
