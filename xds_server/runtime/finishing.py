"""What a finished rollout gives becomes what its record says: a lost state directory never undoes it."""

from collections.abc import Callable

from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.editing import NotEdited, weights_written
from xds_server.records.releases import Weights
from xds_server.runtime.rollouts import NotWritten
from xds_server.sources.writing import NotWritten as FileNotWritten
from xds_server.sources.writing import Writer


class Finishing:
    """Writes weights into the file that states a release; everything else in it stays as it is written."""

    def __init__(self, writer: Writer, admission: Callable[[], Admission]) -> None:
        self._writer = writer
        self._admission = admission

    def write(self, release: Ref, weights: Weights) -> None:
        """Raises `NotWritten`."""
        key = Key("Release", release)
        documents = self._admission().wanted.get(key, ())
        if len(documents) != 1:
            raise NotWritten("no file states it" if not documents else "more than one file states it")
        name = documents[0].place.file
        try:
            text = self._writer.text(name)
            if text is None:
                raise NotWritten(f"{name} is gone")
            self._writer.write(name, text, weights_written(text, key, weights))
        except (FileNotWritten, NotEdited) as error:
            raise NotWritten(str(error)) from error
