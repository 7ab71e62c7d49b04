"""What the demo plant declares: how its kinds belong together, what may be said of them, and who serves whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from assets.models import Asset, AssetType, Design, ExternalReference, FailureCode, ParameterDefinition, SensorTemplate
from assets.selectors import failure_modes_of
from assets.services import NewRelation, create_records, relate_assets
from config.demo.plant import FAMILIES, PRODUCTS, TRAINS, Family

GROUPS: Final = {
    "part": "Part of a machine",
    "hardened-part": "Hardened part",
    "machine": "Machine",
}
_HARDENED: Final = ("rolling-bearing", "gear-pair")
ISO14224: Final = {"gas-turbine": "GT", "generator": "EG", "transformer": "PT", "cooling-pump": "PU"}

# (type, subject, name, unit, least, most): the record of an item, and what its design was laid out for.
_NUMBERS: Final = (
    ("rolling-bearing", "design", "dynamic_load_rating_kN", "kN", 0.0, 5000.0),
    ("rolling-bearing", "design", "life_exponent", "1", 1.0, 10.0),
    ("gear-pair", "design", "contact_exponent", "1", 1.0, 20.0),
    ("winding", "design", "reference_temperature_Cel", "Cel", 0.0, 250.0),
    ("winding", "design", "halving_K", "K", 1.0, 50.0),
    ("impeller", "design", "npsh_required_m", "m", 0.0, 50.0),
    ("hardened-part", "item", "hardness_HRC", "", 50.0, 70.0),
    ("hardened-part", "item", "waviness_um", "um", 0.0, 5.0),
    ("winding", "item", "void_content_pct", "%", 0.0, 10.0),
    ("winding", "item", "impregnation_cycles", "{cycle}", 1.0, 10.0),
)
_NAMES: Final = {
    "spalling": "Flakes break out of a raceway",
    "lubrication": "The lubricant no longer separates the surfaces",
    "pitting": "Pits on the flanks of teeth",
    "fracture": "A tooth breaks",
    "leakage": "Medium escapes to the outside",
    "clogging": "The passage is choked",
    "fouling": "Dirt on the surface, which is cleaned off",
}


def parent_of(code: str) -> str | None:
    """Code of the type that a type stands below; None at the top."""
    if code == "hardened-part" or code in {family.type for family in FAMILIES.values()} - set(_HARDENED):
        return "part"
    if code in _HARDENED:
        return "hardened-part"
    return "machine" if code in {kind for kind, _ in PRODUCTS.values()} else None


def declare_types(types: Mapping[str, AssetType]) -> None:
    """Parameters of the types; those that stand already stay."""
    rows = [
        ParameterDefinition(type=types[kind], subject=subject, name=name, unit=unit, minimum=least, maximum=most)
        for kind, subject, name, unit, least, most in _NUMBERS
    ]
    rows += [
        ParameterDefinition(type=types["part"], subject="item", name=name, kind="text")
        for name in ("supplier", "batch")
    ]
    cutters = ["C3", "C5", "C7"]
    rows.append(
        ParameterDefinition(type=types["hardened-part"], subject="item", name="cutter", kind="choice", choices=cutters)
    )
    there = set(ParameterDefinition.objects.filter(type__in=types.values()).values_list("type", "subject", "name"))
    create_records(records=[row for row in rows if (row.type_id, row.subject, row.name) not in there])


def declare_design(design: Design, family: Family, interval: float) -> None:
    """Failure modes and sensors of a new design."""
    declare_modes({(design.pk, mode) for mode in family.modes})
    create_records(
        records=[
            SensorTemplate(
                design=design,
                name=spec.name,
                quantity=spec.quantity,
                unit=spec.unit,
                role=spec.role,
                expected_interval=interval,
                valid_min=spec.low,
                valid_max=spec.high,
            )
            for spec in family.sensors
        ]
    )


def declare_modes(wanted: Iterable[tuple[int, str]]) -> None:
    """Failure modes of designs, where they are not declared yet: (id of the design, code)."""
    pairs = set(wanted)
    declared = failure_modes_of({design for design, _ in pairs})
    missing = sorted((design, mode) for design, mode in pairs if mode not in declared[design])
    create_records(
        records=[FailureCode(design_id=design, code=mode, name=_NAMES.get(mode, "")) for design, mode in missing]
    )


def connect(assets: Mapping[str, Asset], since: datetime) -> None:
    """Who serves whom in each train, and the number that planning knows each asset by."""
    edges = [("CPA", "cools", "GEN"), ("CPB", "cools", "GEN"), ("CPA", "redundant_with", "CPB")]
    edges += [("TUR", "drives", "GBX"), ("GBX", "drives", "GEN"), ("GEN", "powers", "TRF")]
    relate_assets(
        relations=[
            NewRelation(source=assets[f"{train}-{source}"], target=assets[f"{train}-{target}"], kind=kind, start=since)
            for train in TRAINS
            for source, kind, target in edges
        ]
    )
    create_records(
        records=[
            ExternalReference(system="SAP", kind="functional location", key=f"DE-{tag}", asset=asset)
            for tag, asset in assets.items()
        ]
    )
