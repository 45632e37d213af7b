"""Records that are written, as data: what commands ask for and what the server answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from xds_server.api.errors import Wrong
from xds_server.api.problems import ProblemReport
from xds_server.api.release_reports import Said
from xds_server.difference.applying import Outcome
from xds_server.difference.change import Line
from xds_server.difference.history import Word
from xds_server.ledger.content import DIGITS, SHORTEST
from xds_server.records.values import Weight

Content = Annotated[str, StringConstraints(pattern=f"^[0-9a-f]{{{SHORTEST},{DIGITS}}}$")]


class Written(BaseModel):
    """Whose word it is, and why they say it: both are kept in the history."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    who: str = Field(min_length=1, max_length=200)
    why: str = Field(default="", max_length=1000)

    @property
    def word(self) -> Word:
        return Word(self.who, self.why)


class Files(Written):
    """Files of records. `expect`: releases among them with the content that the folder is believed to state."""

    files: Mapping[str, str] = Field(min_length=1, description="By name: a new record goes into a file of that name.")
    expect: Mapping[str, Content] = Field(default_factory=dict)
    dry_run: bool = Field(default=False, alias="dryRun", description="Check, say what would be written, write nothing.")


class Shares(Written):
    """`shares`: deployments with their parts in percent; the others of the release have the rest in proportion."""

    shares: Mapping[str, Weight] = Field(min_length=1, examples=[{"shop-v2": 10}])
    expect: Content | None = Field(default=None, description="The content that the folder is believed to state.")
    stop_rollout: bool = Field(default=False, alias="stopRollout")


class RecordReport(Said):
    """What became of a record that was applied. `file`: where in the folder it is stated."""

    record: str
    outcome: Outcome
    file: str
    content: str = Field(description="Of a Release, to wait for; else empty.")


class AppliedReport(Said):
    """What applying files did. `written` is false of a dry run, and where everything is unchanged."""

    written: bool
    at: datetime
    records: tuple[RecordReport, ...]
    problems: tuple[ProblemReport, ...] = Field(description="What there is to warn of, by place in the applied files.")


class Refused(Wrong):
    """Records that are not written, because of these problems."""

    problems: tuple[ProblemReport, ...]


class Proposal(BaseModel):
    """Files of records that somebody asks about, by name."""

    model_config = ConfigDict(extra="forbid")

    files: Mapping[str, str] = Field(min_length=1)


class PlanReport(BaseModel):
    """What applying files would do: `plan` for machines, the rest for people."""

    plan: dict[str, Any]
    sections: Mapping[str, tuple[Line, ...]] = Field(
        description="Lines by title: indentation, sign (+, ~, - or none), subject, and what is said of it."
    )
    refused: tuple[ProblemReport, ...] = Field(description="Errors for which none of the records would be applied.")
    warned: tuple[ProblemReport, ...]
    solved: tuple[ProblemReport, ...]
    summary: str
