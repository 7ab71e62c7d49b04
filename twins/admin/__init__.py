"""The twins in Django's admin: what is worst, why, and on what evidence.

Promise: these pages only read, but for the rules of intake and the policies of health that planners set; the health
list takes a constant number of statements whatever it shows. Reason: planners look here every morning, and what they
look at must neither be slow nor be changed by hand. Nothing here holds rules: numbers come from services and selectors.
Nothing may import this package.
"""

from twins.admin import access, evidence, health, intake, reliability, trust

__all__ = ["access", "evidence", "health", "intake", "reliability", "trust"]
