"""What a finished rollout gives becomes what its record says: a lost state directory never undoes it."""

from collections.abc import Callable

from xds_server.difference.applying import check_read
from xds_server.difference.steering import CannotSteer
from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.editing import NotEdited, weights_written
from xds_server.records.releases import Weights
from xds_server.runtime.rollouts import NotWritten
from xds_server.sources.writing import NotWritten as FileNotWritten
from xds_server.sources.writing import Writer


class Finishing:
    """Writes weights into the file that states a release, as it was read; all else in it stays as it is written."""

    def __init__(self, writer: Writer, admission: Callable[[], Admission]) -> None:
        self._writer = writer
        self._admission = admission

    def write(self, release: Ref, weights: Weights) -> None:
        """Raises `NotWritten`."""
        admission, key = self._admission(), Key("Release", release)
        documents = admission.wanted.get(key, ())
        if len(documents) != 1:
            raise NotWritten("no file states it" if not documents else "more than one file states it")
        name = documents[0].place.file
        try:
            text = self._writer.text(name)
            if text is None:
                raise NotWritten(f"{name} is gone")
            check_read(admission, name, text)
            self._writer.write(name, text, weights_written(text, key, weights))
        except (FileNotWritten, NotEdited, CannotSteer) as error:
            raise NotWritten(str(error)) from error
