"""What is due by time alone, and the index that finds it.

The index is sparse: an item is in it as long as something about it is still to come or to be done.
"""

from typing import Final
from zlib import crc32

from billing.domain import invoicing
from billing.domain.entities import Entity, Invoice, Tenant

# So many partitions of the index take the writes of a busy hour. More may be added, none taken away.
SHARDS: Final = tuple(f"{number:x}" for number in range(8))


def due_at(entity: Entity) -> str | None:
    match entity:
        case Invoice():
            return invoicing.due_at(entity)
        case Tenant():
            return entity.import_due
    return None


def shard_of(entity: Entity) -> str:
    return SHARDS[crc32(entity.identity.id.encode()) % len(SHARDS)]
