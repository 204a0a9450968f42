"""What a write of an entity announces. It follows from the entity before and after the write, and from nothing else.

An announcement says one thing that happened to one entity. Its id is made of its type, the entity and the entity's
revision. So it is the same id each time that the stream reports the write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from billing.domain import announced_v1, announced_v2
from billing.domain.announcing import Rule, is_told, value
from billing.domain.entities import Entity, Identity, Kind, completed

type Version = Literal["1", "2"]

_NAMESPACE: Final = UUID("8f2b1c0e-5d8a-4f63-9a55-6a0f5e0c7b11")
_RULES: Final[Mapping[Version, Mapping[Kind, tuple[Rule, ...]]]] = {
    "1": announced_v1.RULES,
    "2": announced_v2.RULES,
}
LATEST: Final[Version] = "2"


@dataclass(frozen=True)
class Announcement:
    """`before` and `after` hold the fields that the type is about. `before` is empty for a new entity."""

    type: str
    id: str
    entity: Identity
    time: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def types(version: Version) -> tuple[str, ...]:
    return tuple(fields_of(version))


def fields_of(version: Version) -> dict[str, tuple[str, ...]]:
    """The fields of each type."""
    found = {name: fields for rules in _RULES[version].values() for name, _, fields in rules}
    if version == LATEST:
        found |= {announced_v2.updated(kind): told for kind, told in announced_v2.TOLD.items()}
    return found


def of(before: Entity | None, after: Entity, version: Version = LATEST) -> list[Announcement]:
    """What one write of an entity announces. A plan announces nothing."""
    earlier = completed(before, after) if before else None
    fired = [
        (name, fields) for name, happened, fields in _RULES[version].get(after.kind, ()) if happened(earlier, after)
    ]
    if version == LATEST and earlier:
        fired += _the_rest(earlier, after, {field for _, fields in fired for field in fields})
    return [
        Announcement(
            type=name,
            id=_id(name, after),
            entity=after.identity,
            time=after.updated_at,
            before=_shown(earlier, fields),
            after=_shown(after, fields),
        )
        for name, fields in fired
    ]


def _the_rest(before: Entity, after: Entity, told: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The announcement of the fields whose change no other one tells, such as something told that is taken back."""
    watched = announced_v2.TOLD.get(after.kind, ())
    changed = tuple(name for name in watched if name not in told and value(before, name) != value(after, name))
    return [(announced_v2.updated(after.kind), changed)] if changed else []


def _id(name: str, entity: Entity) -> str:
    identity = entity.identity
    return str(uuid5(_NAMESPACE, f"{name}:{identity.tenant_id}:{identity.id}:{entity.revision}"))


def _shown(entity: Entity | None, fields: tuple[str, ...]) -> dict[str, Any]:
    if entity is None:
        return {}
    return {name: getattr(entity, name) for name in fields if is_told(getattr(entity, name))}
