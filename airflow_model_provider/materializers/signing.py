"""Signatures of files that can execute code: only what a holder of the key has saved is loaded (R39)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider.exceptions import ModelRegistryError, NotSigned, VersionNotSigned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_model_provider.registry.entities import ArtifactRecord, Payload

#: The attribute of an artifact that holds its signature.
ATTRIBUTE = "hmac"


class Signing(NamedTuple):
    """
    How files that can execute code are signed.

    :param keys: the first one signs, all are accepted; none means that nothing is signed.
    :param required: whether what bears no valid signature is refused, where there are keys.
    """

    keys: tuple[str, ...] = ()
    required: bool = True

    def __repr__(self) -> str:
        """Keys are secrets."""
        return f"Signing({len(self.keys)} keys, required={self.required})"

    def sign(self, digest: str, materializer: str, format_version: int) -> dict[str, str]:
        """Return the attributes that sign bytes as being of a format; none where there is no key."""
        if not self.keys:
            return {}
        return {ATTRIBUTE: _signature(self.keys[0], digest, materializer, format_version)}

    def accepts(
        self,
        digest: str,
        materializer: str,
        format_version: int,
        attributes: Mapping[str, Any],
        *,
        by_first: bool = False,
    ) -> bool:
        """
        Return whether bytes bear the signature of a key.

        :param by_first: only the first key counts, which signs what is saved now.
        """
        found = attributes.get(ATTRIBUTE)
        said = found.encode(errors="replace") if isinstance(found, str) else b""
        keys = self.keys[:1] if by_first else self.keys
        made = [_signature(key, digest, materializer, format_version).encode() for key in keys]
        return any([hmac.compare_digest(item, said) for item in made])  # noqa: C419 - each key takes its time

    def check(
        self,
        what: str,
        digest: str,
        materializer: str,
        format_version: int,
        attributes: Mapping[str, Any],
    ) -> None:
        """
        Refuse bytes that no holder of a key has signed as being of this format.

        :param what: how the error calls them.
        :raises NotSigned: if that is required, and their signature is missing or of no known key.
        """
        if not self.keys or not self.required:
            return
        if not isinstance(attributes.get(ATTRIBUTE), str):
            raise NotSigned(what, "bears no signature")
        if not self.accepts(digest, materializer, format_version, attributes):
            raise NotSigned(what, "bears a signature that none of the keys has made")


def is_unsigned(payload: Payload, signing: Signing, *, by_first: bool = False) -> bool:
    """
    Return whether a payload can execute code and bears the signature of no key; False for a format unknown here.

    :param by_first: only the first key counts.
    """
    from airflow_model_provider.materializers import lookup

    try:
        format = lookup.for_key(payload.materializer, payload.format_version)
    except ModelRegistryError:
        return False
    facts = (payload.digest, payload.materializer, payload.format_version, payload.attributes)
    return format.executes_code and not signing.accepts(*facts, by_first=by_first)


def admission(signing: Signing) -> Callable[[str, str, Sequence[ArtifactRecord]], None] | None:
    """Return what refuses to promote a version of which something bears no signature; None if that is not required."""
    if not signing.keys or not signing.required:
        return None

    def admit(version: str, stage: str, held: Sequence[ArtifactRecord]) -> None:
        unsigned = [record.name for record in held if is_unsigned(record.payload, signing)]
        if unsigned:
            raise VersionNotSigned(version, stage, tuple(dict.fromkeys(unsigned)))

    return admit


def _signature(key: str, digest: str, materializer: str, format_version: int) -> str:
    said = f"{materializer}\n{format_version}\nsha256:{digest}"
    return hmac.digest(key.encode(), said.encode(), "sha256").hex()
