"""Does Lambda's work with the table's stream: polls it and gives batches of records to the function.

After a failure it starts again from the first record that failed.
"""

import threading
from typing import Any, Final

from billing.adapters.aws.json_api import AwsError
from billing.errors import AwsUnavailable
from local import template
from local.aws.clients import AwsAccess
from local.aws.runtime import FunctionError, Runtime

POLL_SECONDS: Final = 0.25
BATCH: Final = 100
MAX_TRIES: Final = 10


class StreamPoller:
    def __init__(self, aws: AwsAccess, function: Runtime) -> None:
        self._client = aws.streams()
        self._of_moto = not aws.dynamodb_url
        self._arn = aws.dynamodb().describe_table(TableName=template.TABLE_NAME)["Table"]["LatestStreamArn"]
        self._function = function
        self._read_to: dict[str, str] = {}  # shard -> the last sequence number that was read
        self._stopped = threading.Event()
        self._empty = 0
        self._changed = threading.Condition()
        self.poison: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run, daemon=True, name="stream")

    def start(self) -> None:
        self._thread.start()

    def wait_caught_up(self, timeout: float) -> bool:
        """Whether a whole reading of the stream finds no new record within `timeout` seconds from now."""
        with self._changed:
            after = self._empty + 1  # the reading that runs now may have begun before this call
            return self._changed.wait_for(lambda: self._empty > after, timeout)

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                count = self._poll()
            except (AwsError, AwsUnavailable):  # nothing was read, so nobody may take the stream for read
                self._stopped.wait(POLL_SECONDS)
                continue
            if not count:
                with self._changed:
                    self._empty += 1
                    self._changed.notify_all()
            if count < BATCH:  # records gather meanwhile: fewer and larger batches, as by the batching window of Lambda
                self._stopped.wait(POLL_SECONDS)

    def _poll(self) -> int:
        """Reads all shards. Returns the number of records."""
        shards = self._client.call("DescribeStream", {"StreamArn": self._arn})["StreamDescription"]["Shards"]
        return sum(self._read(shard["ShardId"]) for shard in shards)

    def _read(self, shard: str) -> int:
        found = self._records(shard)
        if found:
            self._read_to[shard] = found[-1]["dynamodb"]["SequenceNumber"]
        records = [_as_lambda_gets_it(record, self._arn) for record in found]
        self._hand_over([record for record in records if _passes_filter(record)])
        return len(records)

    def _records(self, shard: str) -> list[dict[str, Any]]:
        """The next records. Those of moto are read twice: only those that come both times count.

        If a transaction fails between moto's answers about the iterator and about the records, the iterator is one of a
        table that moto has thrown away, with the writes of that transaction. They never happened, and the records that
        get their sequence numbers afterwards would be skipped.
        """
        found = self._read_once(shard)
        if not found or not self._of_moto:
            return found
        again = {record["eventID"] for record in self._read_once(shard)}
        return [record for record in found if record["eventID"] in again]

    def _read_once(self, shard: str) -> list[dict[str, Any]]:
        answer = self._client.call("GetRecords", {"ShardIterator": self._iterator(shard), "Limit": BATCH})
        records: list[dict[str, Any]] = answer["Records"]
        return records

    def _iterator(self, shard: str) -> str:
        """A new iterator each time.

        An old iterator of moto would read from an outdated copy of the table after a failed transaction.
        """
        parameters = {"StreamArn": self._arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        if shard in self._read_to:
            parameters |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._read_to[shard]}
        iterator: str = self._client.call("GetShardIterator", parameters)["ShardIterator"]
        return iterator

    def _hand_over(self, records: list[dict[str, Any]]) -> None:
        """Gives the records to the function, and again from the first record that failed.

        A record that still fails after `MAX_TRIES` attempts goes to `poison`, so it does not block the others.
        """
        tries = 0
        while records and not self._stopped.is_set():
            failed = self._failed(records)
            tries = tries + 1 if failed else 0
            if failed and tries >= MAX_TRIES:
                self.poison.append(records[failed[0]])
                records, tries = records[failed[0] + 1 :], 0
            elif failed:
                records = records[failed[0] :]
                self._stopped.wait(POLL_SECONDS)
            else:
                return

    def _failed(self, records: list[dict[str, Any]]) -> list[int]:
        """Invokes the function. Returns the positions of the records that it reports as failed."""
        try:
            answer = self._function.invoke({"Records": records})
        except FunctionError:
            return [0]
        numbers = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [n for n, record in enumerate(records) if record["dynamodb"]["SequenceNumber"] in numbers]


def _passes_filter(record: dict[str, Any]) -> bool:
    """The same filter as that of the event source in `template.yaml`."""
    key: str = record["dynamodb"]["Keys"]["PK"]["S"]
    return record["eventName"] != "REMOVE" and key.startswith("TENANT#")


def _as_lambda_gets_it(record: dict[str, Any], arn: str) -> dict[str, Any]:
    change = {name: value for name, value in record["dynamodb"].items() if name != "ApproximateCreationDateTime"}
    known = {name: record[name] for name in ("eventID", "eventName", "eventVersion", "eventSource", "awsRegion")}
    return {**known, "dynamodb": change, "eventSourceARN": arn}
