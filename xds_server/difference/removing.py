"""Deployments that somebody takes out of the files of a folder: only those that nothing uses, all of them or none."""

from collections.abc import Collection, Mapping

from xds_server.difference.applying import check_read
from xds_server.difference.steering import CannotSteer
from xds_server.difference.unused import users_of
from xds_server.domain.names import Ref
from xds_server.domain.words import few
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.editing import NotEdited, document_removed
from xds_server.records.reading import FileChange


def files_of(admission: Admission, deployments: Collection[Ref]) -> dict[str, list[Key]]:
    """Which file states which of them. Raises `CannotSteer` if one is used, or stated nowhere."""
    found: dict[str, list[Key]] = {}
    for deployment in sorted(set(deployments)):
        key = Key("AppDeployment", deployment)
        documents = admission.wanted.get(key, ())
        if not documents:
            raise CannotSteer(f"no file states a deployment {deployment.word}: look again which may go")
        users = users_of(admission, deployment)
        if users:
            raise CannotSteer(f"{deployment.word} is used by {few(users)}")
        for name in {each.place.file for each in documents}:
            found.setdefault(name, []).append(key)
    return found


def without(
    admission: Admission, deployments: Collection[Ref], texts: Mapping[str, str | None]
) -> tuple[FileChange, ...]:
    """What the files say then; one that says nothing more goes. `texts`: what they say now. Raises `CannotSteer`."""
    changes = []
    for name, keys in sorted(files_of(admission, deployments).items()):
        before = texts.get(name)
        check_read(admission, name, before)
        after = before or ""
        for key in keys:
            try:
                after = document_removed(after, key)
            except NotEdited as error:
                raise CannotSteer(f"{name}: {error}") from None
        changes.append(FileChange(name, before, after if after.strip() else ""))
    return tuple(changes)
