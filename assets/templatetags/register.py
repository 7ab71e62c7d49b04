"""What pages of the admin show of the register."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("assets/admin/start_links.html", takes_context=True)
def register_start(context: Any) -> dict[str, Any]:
    """The links of the planner's start page."""
    from assets.admin.start import links  # only where there is an admin

    return {"links": links(context["request"])}
