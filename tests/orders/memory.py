"""DynamoDB in a dict, for the calls that the webhook, the endpoints and the sweep make.

It stands in the place of the table's client, so all of the project's own code runs unchanged. It notes what a function
reads, which is all that the function's outcome can depend on, and what it writes (`behaviour.py`). An expression that
it does not know raises `NotImplementedError`. `test_memory.py` makes the same calls of moto and compares the answers.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from billing.adapters.aws.json_api import AwsError
from billing.adapters.table.keys import Key

type Raw = dict[str, Any]  # an item with DynamoDB's typed values
type Read = tuple[str, ...]  # ("item", PK, SK), ("prefix", PK, SK) or ("index", shard, until)

_ATOM: Final = re.compile(
    r"attribute_(?P<exists>not_exists|exists)\((?P<attribute>[^)]+)\)"
    r"|(?P<left>\S+) IN \((?P<list>[^)]+)\)"
    r"|(?P<name>\S+) (?P<sign>=|<) (?P<value>\S+)"
)
_SECTION: Final = re.compile(r"\b(SET|REMOVE|ADD) ")
_INDEXED: Final = ("PK", "SK", "dueShard", "dueAt")


class Memory:
    """`reads` has (what was read, what was found) of the time before the first write to it; `writes` has, in order,
    (key, item before, item after).
    """

    def __init__(self) -> None:
        self.begin({})

    def begin(self, items: Mapping[Key, Raw]) -> None:
        """Begins again with these items, and with nothing noted."""
        self.items = dict(items)
        self.reads: dict[Read, Any] = {}
        self.writes: list[tuple[Key, Raw | None, Raw]] = []
        self._base = dict(items)
        self._written: set[Key] = set()

    def call(self, operation: str, parameters: Raw) -> Raw:
        operations: dict[str, Callable[..., Raw]] = {
            "GetItem": self._get_item,
            "BatchGetItem": self._batch_get_item,
            "Query": self._query,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "TransactWriteItems": self._transact_write_items,
        }
        return operations[operation](**parameters)

    # -- the calls

    def _get_item(self, *, Key: Raw, **_: Any) -> Raw:  # noqa: N803 - as DynamoDB names it, here and below
        found = self._get(_key(Key))
        return {"Item": found} if found else {}

    def _batch_get_item(self, *, RequestItems: Raw) -> Raw:  # noqa: N803
        [(table, asked)] = RequestItems.items()
        found = [self._get(_key(key)) for key in asked["Keys"]]
        return {"Responses": {table: [item for item in found if item]}, "UnprocessedKeys": {}}

    def _query(self, *, KeyConditionExpression: str, ExpressionAttributeValues: Raw, **_: Any) -> Raw:  # noqa: N803
        given = {name: value["S"] for name, value in ExpressionAttributeValues.items()}
        match KeyConditionExpression:
            case "PK = :pk AND begins_with(SK, :sk)":
                read = ("prefix", given[":pk"], given[":sk"])
            case "dueShard = :shard AND dueAt <= :until":
                read = ("index", given[":shard"], given[":until"])
            case unknown:
                raise NotImplementedError(unknown)
        self.reads.setdefault(read, [self._base[key] for key in found_by(read, self._base)])
        items = [self.items[key] for key in found_by(read, self.items)]
        if read[0] == "index":  # it holds keys only, see template.yaml
            items = [{name: item[name] for name in _INDEXED} for item in items]
        return {"Items": items}

    def _put_item(self, *, Item: Raw, **condition: Any) -> Raw:  # noqa: N803
        self._check([(_key(Item), condition)], "PutItem")
        self._put(Item)
        return {}

    def _update_item(self, *, Key: Raw, UpdateExpression: str, **condition: Any) -> Raw:  # noqa: N803
        self._check([(_key(Key), condition)], "UpdateItem")
        self._put(_updated({**Key, **(self._get(_key(Key)) or {})}, UpdateExpression, condition))
        return {}

    def _transact_write_items(self, *, TransactItems: Sequence[Raw]) -> Raw:  # noqa: N803
        writes = [(kind, {**write}) for one in TransactItems for kind, write in one.items()]
        keys = [_key(write.get("Item") or write["Key"]) for _, write in writes]
        if len(set(keys)) < len(keys):
            raise AwsError("ValidationException", {"message": "two operations on one item"})
        self._check([(key, write) for key, (_, write) in zip(keys, writes, strict=True)], "TransactWriteItems")
        for kind, write in writes:
            if kind == "Put":
                self._put(write["Item"])
            elif kind == "Update":
                self._put(_updated({**write["Key"], **(self._get(_key(write["Key"])) or {})}, None, write))
        return {}

    # -- how

    def _get(self, key: Key) -> Raw | None:
        if key not in self._written:
            self.reads.setdefault(("item", *key), self._base.get(key))
        return self.items.get(key)

    def _put(self, item: Raw) -> None:
        key = _key(item)
        self.writes.append((key, self.items.get(key), item))
        self._written.add(key)
        self.items[key] = item

    def _check(self, conditions: Sequence[tuple[Key, Raw]], operation: str) -> None:
        """Raises as DynamoDB does unless every condition holds."""
        failed = [not _holds(self._get(key), condition) for key, condition in conditions]
        if not any(failed):
            return
        if operation == "TransactWriteItems":
            reasons = [{"Code": "ConditionalCheckFailed" if one else "None"} for one in failed]
            raise AwsError("TransactionCanceledException", {"CancellationReasons": reasons})
        [(key, _)] = conditions
        raise AwsError("ConditionalCheckFailedException", {"Item": self.items.get(key)})


def found_by(read: Read, items: Mapping[Key, Any], raw: Callable[[Any], Raw] = lambda item: item) -> list[Key]:
    """The keys of the items that a query finds, in its order. `raw` gives the item of a value of `items`."""
    kind, first, second = read
    if kind == "prefix":
        return sorted(key for key in items if first == key.PK and key.SK.startswith(second))
    due = [(raw(item).get("dueAt", {}).get("S"), key) for key, item in items.items() if _shard(raw(item)) == first]
    return [key for at, key in sorted(due) if at <= second]


def _shard(item: Raw) -> str | None:
    shard: str | None = item.get("dueShard", {}).get("S")
    return shard


def _key(item: Raw) -> Key:
    return Key(item["PK"]["S"], item["SK"]["S"])


def _holds(item: Raw | None, condition: Raw) -> bool:
    expression = condition.get("ConditionExpression")
    if not expression:
        return True
    return any(_atom_holds(item or {}, atom, condition) for atom in expression.split(" OR "))


def _atom_holds(item: Raw, atom: str, condition: Raw) -> bool:
    found = _ATOM.fullmatch(atom)
    if found is None:
        raise NotImplementedError(atom)
    values = condition.get("ExpressionAttributeValues", {})
    if found["exists"]:
        return (_named(found["attribute"], condition) in item) == (found["exists"] == "exists")
    have = item.get(_named(found["left"] or found["name"], condition))
    if found["list"]:
        return have in [values[name.strip()] for name in found["list"].split(",")]
    wanted = values[found["value"]]
    if found["sign"] == "=":
        return bool(have == wanted)
    return have is not None and int(have["N"]) < int(wanted["N"])


def _updated(item: Raw, expression: str | None, update: Raw) -> Raw:
    values = update.get("ExpressionAttributeValues", {})
    _, *parts = _SECTION.split(expression or update["UpdateExpression"])
    for section, body in zip(parts[::2], parts[1::2], strict=True):
        for step in body.split(","):
            name, *given = step.replace(" = ", " ").split()
            name = _named(name, update)
            if section == "REMOVE":
                item.pop(name, None)
            elif section == "SET":
                item[name] = values[given[0]]
            else:
                item[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + int(values[given[0]]["N"]))}
    return item


def _named(name: str, expression: Raw) -> str:
    real: str = expression.get("ExpressionAttributeNames", {}).get(name, name)
    return real
