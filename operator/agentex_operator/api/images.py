"""The names of images: a repository, a tag, and a reference to an image in a registry, as registries read them."""

from typing import Annotated, Final

from pydantic import Field

from agentex_operator.api.scalars import Matches

_WORD: Final = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*"
_REPOSITORY: Final = f"{_WORD}(?:/{_WORD})*"
_TAG: Final = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST: Final = "sha256:[0-9a-f]{64}"
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST: Final = f"{_LABEL}(?:[.]{_LABEL})*(?::[0-9]{{1,5}})?"

ImageName = Annotated[str, Field(min_length=1, max_length=255), Matches(
    f"^{_REPOSITORY}$", "must be a repository name, for example quote-bot or team/quote-bot: lower-case letters and "
    "digits, with one of '.', '_', '__' or hyphens between them, and '/' between its parts")]
ImageTag = Annotated[str, Field(min_length=1, max_length=128), Matches(
    f"^{_TAG}$", "must be a tag, for example v1.2: letters, digits, '_', '.' and '-', not beginning with '.' or '-'")]
ImageReference = Annotated[str, Field(min_length=1, max_length=2048), Matches(
    f"^(?:{_HOST}/)?{_REPOSITORY}(?::{_TAG}|(?::{_TAG})?@{_DIGEST})$",
    "must be an image with a tag, a sha256 digest or both, without https://, for example "
    "registry.example.com/quote-bot:v1; add the tag or the digest")]
