"""Speech from flite and music from FluidSynth: text and notes are ours, the programs render them."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from synthesis.common import RATE_HZ, Wave

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
Note = tuple[float, float, int, int]  # start in beats, length in beats, MIDI pitch, velocity
_TICKS = 480


def speech(text: str, voice: str, *, stretch: float = 1.0, pitch_hz: float = 0.0) -> Wave:
    """Speech of flite's voice `slt` (a woman) or `rms` (a man).

    Args:
        text: English.
        voice: name of the voice.
        stretch: above 1 is slower.
        pitch_hz: mean pitch; 0 keeps the voice's own.

    Returns:
        The voice, mono at 44.1 kHz.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}"]
        if pitch_hz:
            command += ["--setf", f"int_f0_target_mean={pitch_hz}"]
        subprocess.run([*command, "-t", text, "-o", str(path)], check=True)
        wave, rate_hz = soundfile.read(path)
    return signal.resample_poly(wave, RATE_HZ // 100, rate_hz // 100)


def _variable_length(value: int) -> bytes:
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def midi_file(notes: list[Note], program: int, beats_per_minute: float) -> bytes:
    """A standard MIDI file (format 0) with one instrument."""
    events = [(0, bytes([0xC0, program]))]
    for start, length, pitch, velocity in notes:
        events.append((round(start * _TICKS), bytes([0x90, pitch, velocity])))
        events.append((round((start + length) * _TICKS), bytes([0x80, pitch, 0])))
    events.sort(key=lambda event: (event[0], event[1][0] == 0x90))
    microseconds = round(60e6 / beats_per_minute)
    track, now = b"\x00\xff\x51\x03" + microseconds.to_bytes(3, "big"), 0
    for tick, message in events:
        track += _variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS)
    return header + b"MTrk" + struct.pack(">I", len(track)) + track


def music(rng: np.random.Generator, notes: list[Note], program: int, beats_per_minute: float) -> Wave:
    """Notes played by FluidSynth with the FluidR3 soundfont, stereo; timing and touch vary a little."""
    played = [
        (
            max(0.0, start + rng.normal(0, 0.012)),
            length,
            pitch,
            int(np.clip(velocity + rng.normal(0, 5), 20, 120)),
        )
        for start, length, pitch, velocity in notes
    ]
    with tempfile.TemporaryDirectory() as folder:
        score, path = Path(folder) / "score.mid", Path(folder) / "music.wav"
        score.write_bytes(midi_file(played, program, beats_per_minute))
        command = ["fluidsynth", "-ni", "-q", "-r", str(RATE_HZ), "-g", "0.7", "-F", str(path)]
        subprocess.run([*command, str(SOUNDFONT), str(score)], check=True, stdout=subprocess.DEVNULL)
        wave, _ = soundfile.read(path, always_2d=True)
    return wave.T  # (2, S)
