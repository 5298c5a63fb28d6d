"""Is this English? A plain look at the script and at a few very common words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_SCRIPTS = {
    "CYRILLIC": "Russian or another Cyrillic language", "GREEK": "Greek", "ARABIC": "Arabic", "HEBREW": "Hebrew", "CJK": "Chinese or Japanese",
    "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean", "DEVANAGARI": "Hindi", "THAI": "Thai", "BENGALI": "Bengali",
    "TAMIL": "Tamil", "GEORGIAN": "Georgian", "ARMENIAN": "Armenian",
}  # fmt: skip
# Function words and the commonest commands; none of them is a usual English word.
_WORDS = {
    "Spanish": "el los las una del por favor quita quitar elimina eliminar extrae extraer deja solo sonido ruido perro quiero música voz sin pero todo menos",
    "French": "le la les une des du et avec sans enlève enlever supprime supprimer extrait extraire garde garder seulement bruit chien voix musique je veux tout sauf s'il vous plaît",
    "German": "der die das den dem ein eine einen und nicht ohne bitte entferne entfernen nur behalte lass hund geräusch stimme musik ich möchte alles außer weg aus vom",
    "Italian": "il lo gli una della dello rimuovi rimuovere togli estrai estrarre solo rumore cane voce musica voglio senza tutto tranne per favore",
    "Portuguese": "os um uma do da não remova remover tire extraia apenas som ruído cachorro voz música quero sem tudo menos por favor",
    "Dutch": "het een van niet zonder verwijder verwijderen alleen houd geluid hond stem muziek ik wil alles behalve alsjeblieft en uit",
    "Polish": "usuń proszę tylko zostaw bez dźwięk psa głos muzykę chcę wszystko oprócz nie i szczekanie",
    "Turkish": "kaldır çıkar sadece sesi sesini köpek müziği istiyorum lütfen hariç bir ve olmadan",
    "Swedish": "och inte utan ta bort endast behåll ljudet hunden rösten musiken jag vill allt utom tack ett",
}  # fmt: skip
_SHARED = frozenset(["a", "an", "the", "of", "in", "on", "and", "or", "to", "is", "that", "this", "i", "it", "no", "not", "please", "remove", "extract", "keep", "only", "without", "dog", "music", "voice", "sound", "from"])
_LISTS = {language: frozenset(words.split()) - _SHARED for language, words in _WORDS.items()}
_COUNTED = 4


def other_language(text: str) -> str:
    """Name of the language the text seems to be in, empty for English or where nothing tells."""
    scripts = Counter(unicodedata.name(c, "?").split(" ")[0].split("-")[0] for c in text if c.isalpha())
    if not scripts:
        return ""
    script, count = scripts.most_common(1)[0]
    if script != "LATIN" and 2 * count > scripts.total():
        return _SCRIPTS.get(script, "a language other than English")
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower())
    english = sum(word in _SHARED for word in words)
    language, hits = max(((name, sum(word in known for word in words)) for name, known in _LISTS.items()), key=lambda pair: pair[1])
    enough = hits >= 2 or (hits == 1 and len(words) <= _COUNTED and not all(c.isascii() for c in text))
    return language if enough and hits > english else ""


def language_note(text: str) -> str:
    """One line for the user where the text is not English, else empty."""
    language = other_language(text)
    if not language:
        return ""
    return f"This looks like {language}. The offline parser understands English only; check what was understood, or write it in English."
