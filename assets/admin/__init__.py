"""The register in Django's admin, for maintenance planners.

Promise: every save goes through `assets.services`, so a page keeps the same rules as an import, and what a service
refuses comes back as an error in the form with all input kept. Reason: planners and integrators keep one register.
Works with Django's own theme, and wears django-unfold where the host has installed it. Nothing here may import `twins`.
"""

from assets.admin import access, assets, designs, items, relations, start

__all__ = ["access", "assets", "designs", "items", "relations", "start"]
