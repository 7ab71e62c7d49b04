"""`assess [TAG ...]`: assess health now, of everything or of the trees and assets named by tag."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assets.models import Asset, Installation
from twins.services.assessment import assess_assets


class Command(BaseCommand):
    help = "Assess the health of everything with an item installed, and of all that stands above it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tag", nargs="*", help="tags of assets whose subtree is assessed; without any, everything")

    def handle(self, *, tag: list[str], **_: Any) -> None:
        assets = Asset.objects.all()
        if tag:
            tops = Asset.objects.filter(tag__in=tag)
            if unknown := sorted(set(tag) - {top.tag for top in tops}):
                raise CommandError(f"There is no asset with the tag {unknown[0]!r}.")
            assets = assets.subtree_of(top.pk for top in tops)
        places = Installation.objects.filter(asset__in=assets, period__upper_inf=True)
        written = assess_assets(assets=list(places.values_list("asset_id", flat=True)), now=timezone.now())
        self.stdout.write(f"{len(written)} assets assessed.")
