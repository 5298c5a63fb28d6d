"""Where a large language model answers from: an endpoint, or a model of `transformers`."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Any, Protocol
from urllib.parse import urlsplit

from hsm.errors import HSMError

KEY_VARIABLE = "HSM_LLM_API_KEY"
LONGEST_REPLY_BYTES = 65_536


class ReplyError(RuntimeError):
    """The model gave no usable answer; the message is short enough to show."""


class Chat(Protocol):
    """A chat model."""

    name: str

    def reply(self, messages: list[dict[str, str]], timeout_s: float) -> str:
        """The model's text; raises `ReplyError`."""
        ...


class AbsentChat:
    """Stands where a model could not be loaded: every question fails with the reason."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = f"llm:{name}", reason

    def reply(self, messages: list[dict[str, str]], timeout_s: float) -> str:
        """Raises `ReplyError`, always."""
        raise ReplyError(self.reason)


class EndpointChat:
    """Any OpenAI-compatible endpoint, by its base address; its bearer key comes from HSM_LLM_API_KEY by default."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise HSMError(f"language model: got the address {url!r}; wanted one that starts with http:// or https://.")
        self.url, self.model, self.name = url.rstrip("/") + "/chat/completions", model, f"llm:{model}"
        self._key = key if key is not None else os.environ.get(KEY_VARIABLE, "")

    def reply(self, messages: list[dict[str, str]], timeout_s: float) -> str:
        """Ask once; raises `ReplyError` on any failure of the network or the form."""
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": 200}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                answer = json.loads(response.read(LONGEST_REPLY_BYTES))
            content = answer["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            raise ReplyError(f"the endpoint answered with status {error.code}") from error
        except (OSError, http.client.HTTPException) as error:  # includes time-outs and refused connections
            raise ReplyError("the endpoint could not be reached in time") from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ReplyError("the endpoint's answer had another form") from error
        if not isinstance(content, str):
            raise ReplyError("the endpoint's answer had no text")
        return content


class TransformersChat:
    """A causal language model of `transformers` with its tokenizer, whose chat template is used where there is one."""

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, f"llm:{name}"

    @staticmethod
    def load(name_or_path: str, device: str = "cpu") -> TransformersChat:
        """Load by hub name or folder; `HSMError` where it cannot be loaded."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(name_or_path)
            model: Any = AutoModelForCausalLM.from_pretrained(name_or_path)
            model = model.to(device)
        except (OSError, ValueError) as error:
            raise HSMError(
                f"language model {name_or_path!r}: could not be loaded ({error}); give a folder or a hub name."
            ) from error
        return TransformersChat(model, tokenizer, name_or_path.rstrip("/").rsplit("/", 1)[-1])

    def reply(self, messages: list[dict[str, str]], timeout_s: float) -> str:
        """Generate greedily, at most 120 tokens and `timeout_s` seconds; raises `ReplyError`."""
        if getattr(self.tokenizer, "chat_template", None):
            prompt = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        else:
            prompt = "\n\n".join(message["content"] for message in messages) + "\n\nJSON: "
        batch = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=False).to(self.model.device)
        try:
            ids = self.model.generate(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=120,
                do_sample=False, max_time=timeout_s, pad_token_id=self.tokenizer.pad_token_id or 0,
            )  # fmt: skip
        except (RuntimeError, ValueError, IndexError) as error:
            raise ReplyError(f"the model failed ({type(error).__name__})") from error
        return str(self.tokenizer.decode(ids[0, batch["input_ids"].shape[1] :], skip_special_tokens=True))
