"""`edgeformer-run sensors`: what this device is, which power sensors it has, what was refused and why."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any, Dict

from ..errors import InputError, SensorError
from ..terminal import say
from .base import Shared, print_json

if TYPE_CHECKING:
    from ..power import Found, Meter


OWN_METER = """a meter of your own, for sensors and bench, by environment variables:
  EDGEFORMER_POWER_LOG=FILE        CSV or JSONL that grows while it measures: unix_s or time (ISO 8601, with a
                                   zone), and watts, or volts and amperes
  EDGEFORMER_POWER_LOG_OFFSET_S=S  added to the log's times, where its clock differs from this device's
  EDGEFORMER_INA_I2C=chip=ina219,bus=1,address=0x40,shunt_ohm=0.1
                                   an INA219, 226 or 260 without a kernel driver
  EDGEFORMER_POWER_SCOPE=TEXT      what the meter covers: "whole board", "5 V rail"
in Python: session.benchmark(meter=...) takes any object with read_watts()
"""


def add(commands: Any, shared: Shared) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "sensors",
        parents=[shared.debug],
        help="this device, and its power sensors",
        description="What this device is, which power sensors it has, and what was refused, with the reason.",
        epilog=OWN_METER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object; with --watch one a line")
    parser.add_argument("--watch", action="store_true", help="the best sensor's watts once a second, until interrupted")
    parser.add_argument("--count", type=int, metavar="N", help="with --watch: stop after N lines")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Do what the command says."""
    from .. import power

    if options.count is not None and (not options.watch or options.count < 1):
        raise InputError("--count needs --watch, and a number above 0")
    found = power.find()
    try:
        if options.watch:
            _watch(found, options)
        else:
            _show(found, as_json=options.json)
    finally:
        found.close()


def _show(found: Found, as_json: bool) -> None:
    from .. import power
    from ..device.facts import probe

    facts = probe()
    meters = [_described(meter) for meter in found.meters]
    if as_json:
        reading = power.reading(found)
        places = [{"path": place.path, "exists": place.exists, "note": place.note} for place in found.places]
        print_json(
            {
                "device": facts.to_dict(),
                "power": reading.to_dict(),
                "meters": meters,
                "refused": list(found.refused),
                "looked_at": places,
            }
        )
        return
    for name, value in facts.to_dict().items():
        text = ", ".join(value) if isinstance(value, tuple) else value
        say(f"{name:<24}{'-' if text in (None, '') else text}")
    say("\npower" if meters else "\npower: unavailable, no sensor that can be read")
    for described in meters:
        _print_meter(described)
    if found.refused:
        say("refused")
        for reason in found.refused:
            say(f"  {reason}")
    say("looked at")
    for place in found.places:
        say(f"  {'found' if place.exists else 'none':<8}{place.path}: {place.note}")


def _print_meter(described: Dict[str, Any]) -> None:
    watts = described["watts"]
    value = f"{watts:.3f} W" if watts is not None else "no value"
    say(f"  {described['family']}: {value}, {described['status']}, covers: {described['scope']}")
    step, accuracy = described["resolution_w"], described["accuracy_fraction"]
    details = (
        ("reason", described["reason"]),
        ("rail", described["rail"]),
        ("model", described["model"]),
        ("step", None if step is None else f"{step:.4g} W"),
        ("accuracy", None if accuracy is None else f"±{accuracy:.1%} published"),
        ("interval", f"{described['min_interval_s']:g} s"),
    )
    for name, text in details:
        if text is not None:
            say(f"    {name:<20}{text}")
    for name, part in described["sub_rails"].items():
        say(f"      {name:<18}{'no value' if part is None else f'{part:.3f} W'}")


def _described(meter: Meter) -> Dict[str, Any]:
    from .. import power

    watts, reason = None, None
    try:
        watts = power.read_once(meter)
    except SensorError as error:
        reason = str(error)
    return {
        "family": meter.family,
        "status": meter.status,
        "scope": meter.scope,
        "rail": meter.rail,
        "model": meter.model,
        "resolution_w": meter.resolution_w,
        "accuracy_fraction": meter.accuracy_fraction,
        "min_interval_s": meter.min_interval_s,
        "watts": watts,
        "reason": reason,
        "sub_rails": dict(meter.sub_rails()),
    }


def _watch(found: Found, options: argparse.Namespace) -> None:
    from .. import power

    if not found.meters:
        raise SensorError(power.reading(found).reason or "no power sensor")
    meter = found.meters[0]
    seen = 0
    while options.count is None or seen < options.count:
        if seen:
            time.sleep(1.0)
        seen += 1
        try:
            line: Dict[str, Any] = {"unix_s": round(time.time(), 3), "watts": power.read_once(meter)}
        except SensorError as error:
            line = {"unix_s": round(time.time(), 3), "watts": None, "reason": str(error)}
        line.update(status=meter.status, family=meter.family, scope=meter.scope)
        if options.json:
            say(json.dumps(line, allow_nan=False))
        else:
            clock = time.strftime("%H:%M:%S", time.localtime(line["unix_s"]))
            value = line.get("reason") or f"{line['watts']:.3f} W"
            say(f"{clock}  {value}  {meter.status}, {meter.scope} ({meter.family})")
