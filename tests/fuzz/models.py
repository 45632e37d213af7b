"""Documents that a model takes, drawn from the model itself: a field that is added is drawn from that day on.

Each field is drawn, then what the model refuses is taken out again, field by field. So almost everything that is left
is accepted, and what is accepted is what Envoy will see.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tests.fuzz.values import PLAIN, Drawn, known

RUST = ConfigDict(regex_engine="rust-regex")
"""As the models read their patterns."""
Said = dict[str, Any]
MOST = 3
"""Items in a list, names in a mapping."""


@st.composite
def documents_of(draw: st.DrawFn, model: type[BaseModel], most: int = MOST) -> Said:
    """What an operator could write for the model: every required field, and at most so many of the others."""
    fields = _fields(model)
    optional = [info.alias or name for name, info in model.model_fields.items() if not info.is_required()]
    chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=most)) if optional else []
    said = {name: draw(fields[name]) for name in fields if name not in optional or name in chosen}
    left = mended(model, said, optional)
    if _refused(model, left) is None or not optional:
        return left
    for name in draw(st.permutations(optional)):
        more = mended(model, left | {name: draw(fields[name])}, ())
        if _refused(model, more) is None:
            return more
    return left


def mended(model: type[BaseModel], said: Said, optional: Sequence[str]) -> Said:
    """Without the optional fields that the model refuses: those that it names, else one after another."""
    while wrong := _refused(model, said):
        here = [name for name in optional if name in said]
        gone = next((name for name in here if name in wrong), here[-1] if here else None)
        if gone is None:
            break
        said = {name: value for name, value in said.items() if name != gone}
    return said


def _refused(model: type[BaseModel], said: Said) -> set[Any] | None:
    """The fields that the model refuses, or the model's name if it is the whole; None: it takes everything."""
    try:
        model.model_validate(said)
    except ValidationError as error:
        return {each["loc"][0] if each["loc"] else model.__name__ for each in error.errors(include_url=False)}
    return None


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, Drawn]:
    hints = get_type_hints(model, include_extras=True)
    return {info.alias or name: _field(hints[name], info) for name, info in model.model_fields.items()}


def _field(annotation: Any, info: FieldInfo) -> Drawn:
    """The examples that its description gives, and everything else that its type takes."""
    drawn = st.one_of(st.sampled_from(info.examples), _of(annotation)) if info.examples else _of(annotation)
    if not info.is_required():
        return drawn
    whole = Annotated[annotation, *info.metadata] if info.metadata else annotation
    return drawn.filter(accepts(whole))


def _of(annotation: Any) -> Drawn:
    found = known(annotation)
    if found is not None:
        return found.filter(accepts(annotation))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _of(arguments[0])
    return _several(origin, arguments) if arguments else _plain(annotation)


def _several(origin: Any, arguments: tuple[Any, ...]) -> Drawn:
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_of(arguments[0]), max_size=MOST, unique_by=repr)
    if origin is dict:
        return st.dictionaries(_of(arguments[0]), _of(arguments[1]), max_size=MOST)
    return st.one_of(*(_of(each) for each in arguments))


def accepts(annotation: Any) -> Callable[[Any], bool]:
    """Whether a value is one that a field of this type takes."""
    taker: TypeAdapter[Any] = TypeAdapter(annotation, config=None if _is_model(annotation) else RUST)

    def takes(value: Any) -> bool:
        try:
            taker.validate_python(value)
        except ValidationError:
            return False
        return True

    return takes


def _is_model(annotation: Any) -> bool:
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _plain(kind: Any) -> Drawn:
    if issubclass(kind, BaseModel):
        return documents_of(kind)
    if issubclass(kind, Enum):
        return st.sampled_from([each.value for each in kind])
    return PLAIN[kind]


def replaced(said: Any, path: tuple[Any, ...], value: Any) -> Any:
    """`said` with `value` at the path; as it is where the path leads nowhere."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(said, Mapping) and step in said:
        return {**said, step: replaced(said[step], rest, value)}
    if isinstance(said, list) and isinstance(step, int) and step < len(said):
        return [*said[:step], replaced(said[step], rest, value), *said[step + 1 :]]
    return said
