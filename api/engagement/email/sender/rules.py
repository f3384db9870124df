"""Decide whether DNS lets us send in the name of a domain: SPF (RFC 7208), DKIM (RFC 6376, 8463), DMARC (RFC 7489)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Kind = Literal["dkim", "spf", "dmarc"]
RecordState = Literal["ok", "missing", "wrong", "unknown"]
CHECKED_EVERY = timedelta(days=1)
CHECKED_EVERY_UNVERIFIED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A TXT record that a domain must have. `names`: where receivers look, the first one that has it."""

    kind: Kind
    names: tuple[str, ...]
    value: str
    generation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A record as DNS had it. `value` is what to copy there; null where nothing is to be done."""

    kind: Kind
    name: str
    state: RecordState
    value: str | None
    found: list[str]
    generation: int | None = None


def wanted_records(domain: str, platform_domain: str, keys: Sequence[tuple[int, str, str, str]]) -> list[Wanted]:
    """Name the records of a domain; keys are generation, selector, and the public keys of RSA and Ed25519."""
    found: list[Wanted] = []
    for generation, selector, rsa, ed25519 in keys:
        for suffix, kind, public in (("", "rsa", rsa), ("e", "ed25519", ed25519)):
            name = f"{selector}{suffix}._domainkey.{domain}"
            value = f"v=DKIM1; k={kind}; p={public}"
            found.append(Wanted(kind="dkim", names=(name,), value=value, generation=generation))
    spf = "v=spf1 mx ~all" if domain == platform_domain else f"v=spf1 include:{platform_domain} ~all"
    found.append(Wanted(kind="spf", names=(domain,), value=spf))
    labels = domain.split(".")
    parents = tuple(".".join(labels[start:]) for start in range(len(labels) - 1))
    found.append(Wanted(kind="dmarc", names=tuple(f"_dmarc.{each}" for each in parents), value="v=DMARC1; p=none"))
    return found


def check_record(wanted: Wanted, name: str, records: Sequence[str] | None) -> Checked:
    """Compare a record with what DNS has; None: DNS did not answer."""
    if records is None:
        return _checked(wanted, name, "unknown", None, [])
    match wanted.kind:
        case "dkim":
            own = [each for each in records if "p=" in each]
            right = [each for each in own if _tags(each).get("p") == _tags(wanted.value)["p"]]
            state: RecordState = "ok" if len(own) == 1 and right else "wrong" if own else "missing"
            return _checked(wanted, name, state, None if state == "ok" else wanted.value, own)
        case "spf":
            own = [each for each in records if each.lower().split(" ")[0] == "v=spf1"]
            state, value = _spf(own, wanted.value)
            return _checked(wanted, name, state, value, own)
        case "dmarc":
            own = [each for each in records if each.replace(" ", "").startswith("v=DMARC1;")]
            policy = _tags(own[0]).get("p", "").lower() if len(own) == 1 else ""
            state = "ok" if policy in ("none", "quarantine", "reject") else "wrong" if own else "missing"
            return _checked(wanted, name, state, None if state == "ok" else wanted.value, own)


def _spf(own: list[str], value: str) -> tuple[RecordState, str | None]:
    """Compare SPF records: two of them count as none (RFC 7208, 4.5), and what is there stays."""
    if not own:
        return "missing", value
    includes = [term for term in value.split(" ") if term.startswith("include:")]
    terms = own[0].lower().split()
    missing = [each for each in includes if each.lower() not in terms and f"+{each.lower()}" not in terms]
    if len(own) == 1 and not missing:
        return "ok", None
    first, *rest = own[0].split()
    return "wrong", " ".join([first, *missing, *rest])


def _checked(wanted: Wanted, name: str, state: RecordState, value: str | None, found: list[str]) -> Checked:
    shown = [each[:500] for each in found[:3]]
    return Checked(kind=wanted.kind, name=name, state=state, value=value, found=shown, generation=wanted.generation)


def _tags(record: str) -> dict[str, str]:
    """Read `tag=value; tag=value` (RFC 6376, 3.2); white space in a value does not count."""
    pairs = (each.partition("=") for each in record.split(";"))
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check makes of a sender. None: DNS did not answer, so it stays what it was."""

    allowed: bool | None
    generation: int


def judge(checked: Sequence[Checked], generation: int) -> Verdict:
    """Tell whether all records of the keys in use are right; newer keys are used as soon as DNS has both of them."""
    newer = sorted({each.generation or 0 for each in checked if (each.generation or 0) > generation}, reverse=True)
    ready = [each for each in newer if all(found.state == "ok" for found in checked if found.generation == each)]
    used = ready[0] if ready else generation
    states = {each.state for each in checked if each.generation in (None, used)}
    if states & {"missing", "wrong"}:
        return Verdict(False, used)
    return Verdict(None if "unknown" in states else True, used)
