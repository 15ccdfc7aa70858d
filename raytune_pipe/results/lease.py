"""One driver for a run in a bucket: an object that tells who it is, and is renewed while it lives.

Buckets that pyarrow writes to have no "put if absent", so two drivers that begin within the same
second may both believe in their lease. Each looks again before every copy: the one whose lease was
replaced writes nothing more, and says so.
"""

import secrets
import shlex

from raytune_pipe.base import NameTakenError, ResultsError
from raytune_pipe.results.holder import Holder
from raytune_pipe.results.object_store import ObjectStore

LEASE = "lease.json"
STALE_AFTER_S = 60.0
"""Seconds without renewal after which a driver that cannot be asked counts as gone."""


class Lease:
    """The right to write to a run in a bucket."""

    def __init__(self, store: ObjectStore, holder: Holder, took_over: str | None) -> None:
        self.token = holder.token
        self.took_over = took_over
        """Whose it was, and why that one counts as gone; None where nobody's was left."""
        self._store = store
        self._holder = holder

    def renew(self) -> None:
        """Look whether it is still ours, and leave a mark of life.

        Raises:
            NameTakenError: another driver has taken the run over.
            StoreError: the bucket is out of reach.
        """
        found = read_lease(self._store)
        if found is not None and found.token != self.token:
            raise NameTakenError(
                f"{self._store.uri}: to write to a run, a driver must hold its lease, but this one"
                f" has lost it to {found}; it writes nothing more; see how the run goes on:"
                f" raytune-pipe status {shlex.quote(self._store.uri)}"
            )
        self._store.put(LEASE, self._holder.to_bytes())

    def release(self) -> None:
        """Let it go, so that another driver can take the run at once; raises as `renew`."""
        found = read_lease(self._store)
        if found is not None and found.token == self.token:
            self._store.put(LEASE, self._holder.as_released().to_bytes())


def take_lease(store: ObjectStore, *, steal: bool = False) -> Lease:
    """Become the driver of the run at the store's URI.

    Raises:
        NameTakenError: another driver holds it, and, unless it runs here, `steal` was not given.
        StoreError: the bucket cannot be written.
    """
    found = read_lease(store)
    why = _why_free(store, found) if found else ""
    if found and why is None:
        if not steal or found.is_visible:
            raise _held(store, found)
        why = "it was taken by force, with --steal-lock"
    holder = Holder.here(secrets.randbits(63), has_flock=False)
    lease = Lease(store, holder, f"{found}: {why}" if found and why else None)
    store.put(LEASE, holder.to_bytes())
    lease.renew()  # tells of another one that came in between
    return lease


def read_lease(store: ObjectStore) -> Holder | None:
    """Who held the run last; None where nobody did.

    Raises:
        ResultsError: it cannot be read, or is damaged.
    """

    def parse(data: bytes) -> Holder:
        holder = Holder.parse(data)
        if holder is None:
            raise ResultsError(
                f"{store.uri}/{LEASE}: must tell which driver holds the run, but is damaged; if"
                " none runs, delete it"
            )
        return holder

    return store.get_replaced(LEASE, parse)


def is_leased(store: ObjectStore) -> bool:
    """Whether a driver holds the run, as far as can be told without writing to the bucket."""
    found = read_lease(store)
    if found is None or found.released:
        return False
    if found.is_visible:
        return found.why_gone() is None
    age_s = store.age_s(LEASE)  # by two clocks, which will do to look
    return age_s is None or age_s <= STALE_AFTER_S


def describe_lease(store: ObjectStore) -> str:
    """Who took the lease last, for people."""
    return str(read_lease(store) or "another process")


def _why_free(store: ObjectStore, holder: Holder) -> str | None:
    """Why nobody holds the run any more; empty where it was let go, None where it is held."""
    if holder.released:
        return ""
    if holder.is_visible:
        return holder.why_gone()
    age_s = store.age_s(LEASE, f"{LEASE}.{secrets.token_hex(8)}")
    if age_s is None or age_s <= STALE_AFTER_S:
        return None
    return f"its lease was last renewed {age_s:.0f} s ago"


def _held(store: ObjectStore, holder: Holder) -> NameTakenError:
    run = shlex.quote(store.uri)
    ways = f"wait for it, or stop it first: raytune-pipe stop {run}"
    if not holder.is_visible:
        ways += (
            f"; where its host cannot be asked, it counts as gone {STALE_AFTER_S:g} s after its"
            f" last renewal; if you know that it is gone: raytune-pipe resume {run} --steal-lock"
        )
    return NameTakenError(
        f"{store.uri}: only one driver may write to a run, but it is held by {holder}; {ways}"
    )
